import { once } from 'node:events'
import { z } from 'zod'

/** A Node process that is looked into through its inspector (Chrome DevTools protocol). */
export interface Inspector {
  /** Calls a method and gives its result. Throws what the process answers instead. */
  call(method: string, params?: Readonly<Record<string, unknown>>): Promise<unknown>
  close(): void
}

const targetsShape = z.array(z.object({ webSocketDebuggerUrl: z.string() }))
const answerShape = z.object({
  id: z.number().optional(),
  result: z.unknown(),
  error: z.object({ message: z.string() }).optional(),
})

/** Connects to a process that was started with `--inspect=127.0.0.1:<port>`. */
export async function connectInspector(port: number): Promise<Inspector> {
  const response = await fetch(`http://127.0.0.1:${port}/json/list`)
  const [target] = targetsShape.parse(await response.json())
  if (target === undefined) throw new Error('there is nothing to look into')
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  await once(socket, 'open')
  let calls = 0
  return {
    call(method, params = {}) {
      const id = ++calls
      return new Promise((resolve, reject) => {
        const onMessage = ({ data }: MessageEvent) => {
          const answer = answerShape.parse(JSON.parse(String(data)))
          if (answer.id !== id) return
          socket.removeEventListener('message', onMessage)
          if (answer.error === undefined) resolve(answer.result)
          else reject(new Error(`${method}: ${answer.error.message}`))
        }
        socket.addEventListener('message', onMessage)
        socket.send(JSON.stringify({ id, method, params }))
      })
    },
    close: () => socket.close(),
  }
}
