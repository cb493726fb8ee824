import { once } from 'node:events'
import { z } from 'zod'
import { linesOf, spawnLatchkey } from '../../cli/latchkey-process.ts'

const booksShape = z.object({
  inFlight: z.number(),
  requests: z.number(),
  statuses: z.record(z.string(), z.number()),
  billed: z.object({ usage: z.object({ inputTokens: z.number(), outputTokens: z.number() }) }),
})

/** The upstream's own account, over all requests that have ended. */
export type UpstreamBooks = z.infer<typeof booksShape>

/** A provider in a process of its own, which keeps its own books. */
export interface Upstream {
  readonly baseUrl: string
  books(): Promise<UpstreamBooks>
  stop(): Promise<void>
}

export async function startUpstream(seed: number): Promise<Upstream> {
  const child = spawnLatchkey(
    ['simulate', '--port', '0', '--no-require-key', '--seed', String(seed), '--json'],
    {},
  )
  child.stderr?.resume()
  let text = ''
  const lines = linesOf(child.stdout)
  let address: z.infer<typeof addressShape> | null = null
  while (address === null) {
    const line = await lines.next()
    if (line.done) throw new Error('the simulator ended before it listened')
    text += line.value
    address = parseAddress(text)
  }
  const { baseUrl, books } = address
  return {
    baseUrl,
    async books() {
      const response = await fetch(books)
      return booksShape.parse(await response.json())
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

const addressShape = z.object({ baseUrl: z.string(), books: z.string() })

/** The document that it prints once it listens; null: not all of it has come. */
function parseAddress(text: string): z.infer<typeof addressShape> | null {
  try {
    return addressShape.parse(JSON.parse(text))
  } catch {
    return null
  }
}
