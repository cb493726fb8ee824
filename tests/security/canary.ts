import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A secret that was planted, and what finds it wherever it got to. */
export interface Canary {
  readonly name: string
  readonly bytes: Buffer
}

/** A text like no provider's secrets: nothing that redacts by shape knows it. */
export function newSecret(): string {
  return `c4n4ry${randomBytes(24).toString('hex')}`
}

/** Where, of all `places`, a canary sings: as it is, reversed, in hex or in base64. */
export function findCanaries(
  canaries: readonly Canary[],
  places: readonly (readonly [place: string, content: Buffer | string])[],
): readonly string[] {
  const needles = canaries.flatMap(({ name, bytes }) => spellings(bytes).map((needle) => ({ name, needle })))
  return places.flatMap(([place, content]) => {
    const haystack = typeof content === 'string' ? Buffer.from(content) : content
    return needles.filter(({ needle }) => haystack.includes(needle)).map(({ name }) => `${name} in ${place}`)
  })
}

/** Every file below a directory, with its content. Sockets and the like have none. */
export function filesBelow(directory: string): readonly (readonly [string, Buffer])[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return [path, readFileSync(path)] as const
    })
}

function spellings(bytes: Buffer): readonly Buffer[] {
  // Base64 depends on where in a triple the value begins; its ends depend on its neighbours and are left out.
  const base64 = [0, 1, 2].map((lead) =>
    Buffer.concat([Buffer.alloc(lead), bytes])
      .toString('base64')
      .slice(4, -4),
  )
  return [
    bytes,
    Buffer.from(bytes).reverse(),
    ...[...base64, bytes.toString('hex')].map((text) => Buffer.from(text)),
  ]
}
