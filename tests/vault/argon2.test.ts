import { argon2Sync } from 'node:crypto'
import { Secret, systemRandom } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import { Argon2Guard } from '../../vault/src/argon2.ts'
import { Pepper } from '../../vault/src/pepper.ts'

const ask = () => ({
  secret: new Secret('a secret'),
  salt: systemRandom(16),
  pepper: new Pepper(1, systemRandom(32)),
})

describe('the argon2 guard', () => {
  test("derives argon2id with 19 MiB, two passes, one lane, and the pepper as argon2's secret", async () => {
    const asked = ask()
    const derived = await new Argon2Guard().derive('a', asked)
    const expected = argon2Sync('argon2id', {
      message: 'a secret',
      nonce: asked.salt,
      secret: asked.pepper.argon2Secret(),
      memory: 19_456,
      passes: 2,
      parallelism: 1,
      tagLength: 32,
    })
    expect(derived.kind === 'derived' && derived.tag.equals(expected)).toBe(true)
  })

  test('runs once for all who wait for the same', async () => {
    const guard = new Argon2Guard()
    const asked = ask()
    const results = await Promise.all(Array.from({ length: 50 }, () => guard.derive('same', asked)))
    expect(guard.runs).toBe(1)
    expect(new Set(results).size).toBe(1)
    await guard.derive('same', asked)
    expect(guard.runs).toBe(2)
  })

  test('runs no more at once than it may, lets no more wait than may, and refuses the rest at once', async () => {
    const guard = new Argon2Guard({ concurrency: 1, queue: 3 })
    const running = Array.from({ length: 6 }, (_, index) => guard.derive(`${index}`, ask()))
    expect(guard.waiting).toBe(3)
    expect(await Promise.race(running)).toEqual({ kind: 'overloaded' })
    expect(guard.runs).toBe(1)
    const kinds = (await Promise.all(running)).map((result) => result.kind)
    expect(kinds).toEqual(['derived', 'derived', 'derived', 'derived', 'overloaded', 'overloaded'])
    expect(guard.runs).toBe(4)
    expect((await guard.derive('later', ask())).kind).toBe('derived')
  })

  test('lets nothing be derived with a pepper that was wiped while it waited', async () => {
    const guard = new Argon2Guard({ concurrency: 1, queue: 1 })
    const first = guard.derive('first', ask())
    const asked = ask()
    const second = guard.derive('second', asked)
    asked.pepper.wipe()
    await expect(second).rejects.toMatchObject({ code: 'vault_sealed' })
    expect((await first).kind).toBe('derived')
    expect((await guard.derive('third', ask())).kind).toBe('derived')
  })
})
