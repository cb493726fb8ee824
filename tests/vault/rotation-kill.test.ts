import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { testVaultOn } from './fixture.ts'

const kills = 7
const atStart = 3
const kinds = ['made', 'root-rotated', 'keyring-rotated'] as const
const line = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('open') }),
  z.object({ kind: z.literal('root-rotated') }),
  z.object({ kind: z.literal('keyring-rotated') }),
  z.object({ kind: z.literal('made'), token: z.string(), secret: z.string() }),
])
type Line = z.infer<typeof line>

interface Life {
  readonly child: ChildProcess
  readonly lines: Line[]
  readonly errors: string[]
  /** Resolves once it has done some of each thing that it does, or has ended. */
  readonly working: Promise<unknown>
  readonly ended: Promise<unknown>
}

function rotateForever(database: TestDatabase, rootKeyPath: string): Life {
  const script = join(import.meta.dirname, 'rotate-forever.ts')
  const argv = ['--conditions=source', script, JSON.stringify(database.connection), rootKeyPath]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: Line[] = []
  const errors: string[] = []
  const working = Promise.withResolvers<void>()
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (text) => {
    lines.push(line.parse(JSON.parse(text)))
    if (kinds.every((kind) => lines.some((each) => each.kind === kind))) working.resolve()
  })
  child.stderr.on('data', (chunk) => errors.push(String(chunk)))
  const ended = Promise.all([once(reader, 'close'), once(child, 'close')])
  return { child, lines, errors, working: Promise.race([working.promise, ended]), ended }
}

describe('kill -9 at any moment of first start, rotation, re-encryption and minting', () => {
  test(`loses nothing that was answered, ${kills} times in a row`, { timeout: 180_000 }, async () => {
    const database = await startTestDatabase()
    onTestFinished(() => database.close())
    const rootKeyPath = join(temporaryDirectory(), 'root.key')
    const seen: Line[] = []

    for (let kill = 0; kill < kills; kill++) {
      const life = rotateForever(database, rootKeyPath)
      // The first lives end during start and creation; the later ones at work.
      if (kill >= atStart) await life.working
      await delay(kill < atStart ? 150 + kill * 120 : Math.random() * 500)
      life.child.kill('SIGKILL')
      await life.ended
      expect(life.errors.join('')).toBe('')
      seen.push(...life.lines)
    }

    const { vault } = await testVaultOn(database, { rootKey: { kind: 'file', path: rootKeyPath } })
    const report = await vault.verifyAll()
    expect(report.damaged).toEqual([])
    expect(readdirSync(dirname(rootKeyPath))).toEqual(['root.key'])

    const made = seen.filter((each) => each.kind === 'made')
    for (const kind of kinds)
      expect(seen.filter((each) => each.kind === kind).length).toBeGreaterThanOrEqual(kills - atStart)
    for (const { token, secret } of made) {
      const verification = await vault.verifier.verify(token)
      if (verification.kind !== 'verified') throw new Error(`${token} is ${verification.kind}`)
      const [bound] = verification.principal.providerKeys
      if (bound === undefined) throw new Error('not bound')
      const opened = vault.openProviderKey(bound)
      expect(opened.kind === 'opened' && opened.secret.reveal()).toBe(secret)
    }

    // Every row arrives at the newest keys, and only one root key opens them. What the last life had begun is finished
    // once it is known to be dead.
    const standing = async () => {
      const { rows } = await database.pool.query(
        `select (select count(distinct root_key_id) from ring_key_wrap) as roots,
        (select count(distinct substring(envelope from 5 for 4)) from provider_key) as secrets,
        (select count(distinct row_mac_pepper_version) from proxy_key) as peppers,
        (select count(*) from ring_key where state = 'pending') as pending`,
      )
      return rows
    }
    await expect
      .poll(standing, { timeout: 60_000, interval: 250 })
      .toEqual([{ roots: 1n, secrets: 1n, peppers: 1n, pending: 0n }])
  })
})
