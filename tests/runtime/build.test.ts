import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const checkout = resolve(import.meta.dirname, '../..')
const packages = ['shared', 'vault', 'gateway']

test('what npm run build makes runs on plain node, without the sources', { timeout: 120_000 }, () => {
  const directory = temporaryDirectory()
  for (const file of ['package.json', 'tsconfig.base.json', 'tsconfig.build.json'])
    cpSync(join(checkout, file), join(directory, file))
  for (const name of packages) {
    for (const part of ['package.json', 'tsconfig.json', 'src'])
      cpSync(join(checkout, name, part), join(directory, name, part), { recursive: true })
  }
  // The dependencies as they are, but our own packages from here.
  const modules = join(directory, 'node_modules')
  mkdirSync(join(modules, '@latchkey'), { recursive: true })
  for (const name of readdirSync(join(checkout, 'node_modules')))
    if (!['@latchkey', '.cache'].includes(name))
      symlinkSync(join(checkout, 'node_modules', name), join(modules, name))
  for (const name of packages) symlinkSync(join(directory, name), join(modules, '@latchkey', name))

  execFileSync('npm', ['run', 'build'], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] })
  const latchkey = (...args: readonly string[]) =>
    execFileSync(process.execPath, [join(directory, 'gateway/dist/cli/latchkey.js'), ...args], {
      cwd: directory,
      encoding: 'utf8',
    })
  expect(latchkey('--version')).toMatch(/^\d+\.\d+\.\d+\n$/)
  // The prices that come with it are a file that is not compiled.
  expect(latchkey('prices', 'show', 'gpt-4o')).toContain('2.5')
})
