import { PassThrough } from 'node:stream'
import { finished } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import { promptSecret, readSecret } from '../../gateway/src/cli/secret-input.ts'
import { fields, table } from '../../gateway/src/cli/table.ts'
import { printable, Terminal } from '../../gateway/src/cli/terminal.ts'
import { exactTime, relativeTime } from '../../gateway/src/cli/times.ts'

describe('a table', () => {
  test('has lower-case headers, numbers to the right and no colours', () => {
    expect(
      table(
        ['name', 'count'],
        [
          ['a', 7],
          ['longer', 1000],
          [null, 0],
        ],
      ),
    ).toBe(['name    count', 'a           7', 'longer   1000', '-           0'].join('\n'))
  })

  test('shows control characters instead of obeying them', () => {
    expect(fields([['name', 'a\u001b[31mb\nc\u202ed']])).toBe('name  a\\u{1b}[31mb\\u{a}c\\u{202e}d')
    expect(printable('naïve 日本 😀')).toBe('naïve 日本 😀')
  })
})

describe('JSON', () => {
  const sly = { name: 'a\u001b\u009b31m\u007f\u202eb\u{e0041}\nc', 日本: '😀' }

  function printed(print: (terminal: Terminal) => void, isTTY: boolean): string {
    const stdout = Object.assign(new PassThrough(), { isTTY })
    print(new Terminal({ stdin: new PassThrough(), stdout, stderr: new PassThrough() }))
    return String(stdout.read())
  }

  test.each([
    ['a document on a terminal', true, (terminal: Terminal) => terminal.json(sly)],
    ['a document in a file', false, (terminal: Terminal) => terminal.json(sly)],
    ['a line', true, (terminal: Terminal) => terminal.jsonLine(sly)],
  ])('means the same and holds no character that a terminal obeys: %s', (_title, isTTY, print) => {
    const text = printed(print, isTTY)
    expect(JSON.parse(text)).toEqual(sly)
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    expect(text).toContain('😀')
  })

  test('of what comes bit by bit is a line each', () => {
    expect(printed((terminal) => terminal.jsonLine(sly), true).trimEnd()).not.toContain('\n')
  })
})

test('times are shown by how far they are', () => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  expect(relativeTime(null, now)).toBe('-')
  expect(relativeTime('2026-03-01T12:00:00.400Z', now)).toBe('now')
  expect(relativeTime('2026-03-01T11:57:00Z', now)).toBe('3 min. ago')
  expect(relativeTime('2026-03-31T11:59:59Z', now)).toBe('in 30 days')
  expect(exactTime('2026-03-01T10:00:00.000Z', now)).toBe('2026-03-01T10:00:00.000Z (2 hr. ago)')
})

describe('a prompt for a secret', () => {
  function terminal() {
    const modes: boolean[] = []
    const stdin = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode: (raw: boolean) => modes.push(raw),
    })
    const written: string[] = []
    const stderr = new PassThrough().on('data', (piece) => written.push(String(piece)))
    const streams = { stdin, stdout: new PassThrough(), stderr }
    return { streams, modes, written }
  }

  test('shows nothing of what is typed, and gives the terminal back', async () => {
    const { streams, modes, written } = terminal()
    const answer = readSecret('Secret of main', undefined, streams)
    streams.stdin.write('sk-canary-')
    streams.stdin.write('9\u007f0123\r')
    expect((await answer).reveal()).toBe('sk-canary-0123')
    expect(modes).toEqual([true, false])
    streams.stderr.end()
    await finished(streams.stderr)
    expect(written.join('')).toBe('Secret of main: \n')
  })

  test.each([
    ['Ctrl-C', 'sk-can\u0003', 130],
    ['nothing', '\r', 2],
    ['Ctrl-D at once', '\u0004', 2],
  ])('ends the command on %s', async (_title, typed, exitCode) => {
    const { streams, modes } = terminal()
    const answer = promptSecret('Secret', streams)
    streams.stdin.write(typed)
    await expect(answer).rejects.toMatchObject({ exitCode })
    expect(modes).toEqual([true, false])
  })

  test('takes no more from a pipe than a secret can be', async () => {
    const stdin = new PassThrough()
    const { streams } = terminal()
    const answer = readSecret('Secret', undefined, { ...streams, stdin })
    stdin.end('x'.repeat(70_000))
    await expect(answer).rejects.toMatchObject({ exitCode: 2 })
  })
})
