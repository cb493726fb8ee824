import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { systemClock } from '@latchkey/shared'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { createProgram } from '../../gateway/src/cli/program.ts'
import { Terminal } from '../../gateway/src/cli/terminal.ts'

const text = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')
const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
const program = createProgram({ env: {}, terminal: new Terminal(streams), clock: systemClock })

/** The commands that do something, by their full names. */
function leaves(command: Command, name = command.name()): (readonly [string, Command])[] {
  if (command.commands.length === 0) return [[name, command]]
  return command.commands.flatMap((each) => leaves(each, `${name} ${each.name()}`))
}

/** The part of the page under the heading of a command. */
function section(name: string): string {
  const [, after = ''] = text.split(new RegExp(`^### \`${name}[ \`]`, 'm'))
  return after.split(/^##/m)[0] ?? ''
}

test('docs/cli.md lists every command, and no other', () => {
  const documented = [...text.matchAll(/^### `(latchkey[a-z -]*?)(?: <| --|`)/gm)].map(([, name]) => name)
  expect(documented.sort()).toEqual(
    leaves(program)
      .map(([name]) => name)
      .sort(),
  )
})

test('docs/cli.md names every option of every command', () => {
  for (const [name, command] of leaves(program)) {
    for (const { long } of command.options) {
      if (long === '--json') continue
      expect.soft(`${name} ${section(name)}`).toContain(String(long))
    }
  }
})
