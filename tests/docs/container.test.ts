import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'
import { environmentOf, execForm, parseCopy, parseDockerfile, textsOf } from '../support/dockerfile.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

const stages = parseDockerfile(read('Dockerfile'))
const image = stages.at(-1)
if (image === undefined) throw new Error('the Dockerfile has no stage')
const compose = read('compose.yaml')
const ignored = read('.dockerignore').split('\n')
const { port, adminPort, drainTimeoutMs } = readConfig({})
/** Every name in the files that read settings. */
const settingNames = new Set(
  ['config', 'data-directory'].flatMap(
    (file) => read(`gateway/src/${file}.ts`).match(/\b[A-Z0-9_]+\b/g) ?? [],
  ),
)

test('all that the image copies is there, and passes .dockerignore', () => {
  expect(ignored.find((line) => !line.startsWith('#'))).toBe('*')
  const admitted = ignored.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
  const copied = stages.flatMap((stage) => textsOf(stage, 'COPY')).map(parseCopy)
  const fromHere = copied.filter(({ from }) => from === null).flatMap(({ sources }) => sources)
  expect(fromHere.length).toBeGreaterThan(10)
  for (const source of fromHere) {
    expect.soft(existsSync(new URL(source, root)), source).toBe(true)
    expect
      .soft(
        admitted.some((path) => source === path || source.startsWith(`${path}/`)),
        source,
      )
      .toBe(true)
  }
  const names = stages.map(({ name }) => name)
  for (const { from } of copied) if (from !== null) expect(names).toContain(from)
})

test('the image starts Node as the command of a checkout does, but for its sources', () => {
  const [checkout = ''] = read('gateway/bin/latchkey.js').split('\n')
  const words = checkout.replace('#!/usr/bin/env -S ', '').split(' ')
  const steps = textsOf(image, 'RUN').join('\n')
  expect(words).toContain('node')
  for (const word of words.filter((each) => each !== '--conditions=source'))
    expect.soft(steps.split(/\s|\\n/)).toContain(word)
})

test('every workspace is known where npm reads the lock file', () => {
  const { workspaces } = JSON.parse(read('package.json')) as { readonly workspaces: readonly string[] }
  for (const stage of stages.slice(0, -1)) {
    const sources = textsOf(stage, 'COPY').flatMap((text) => parseCopy(text).sources)
    for (const workspace of workspaces) expect.soft(sources).toContain(`${workspace}/package.json`)
  }
})

test('the image runs our version of Node, under a user of its own, without a shell, and says so to the engine', () => {
  const { devDependencies } = JSON.parse(read('package.json')) as {
    readonly devDependencies: Readonly<Record<string, string>>
  }
  const minor = /\d+\.\d+/.exec(devDependencies.node ?? '')?.[0]
  expect(stages.map(({ base }) => base)).toEqual(stages.map(() => `node:${minor}-slim`))
  expect(textsOf(image, 'USER')).toEqual(['node'])
  expect(textsOf(image, 'STOPSIGNAL')).toEqual(['SIGTERM'])
  expect(textsOf(image, 'EXPOSE')).toEqual([`${port} ${adminPort}`])
  expect(execForm(textsOf(image, 'CMD')[0] ?? '')).toEqual(['latchkey', 'serve'])
  const health = execForm(textsOf(image, 'HEALTHCHECK')[0] ?? '').join(' ')
  expect(health).toContain(`|| ${port}}/readyz`)
  const { version } = JSON.parse(read('gateway/package.json')) as { readonly version: string }
  expect(textsOf(image, 'LABEL')[0]).toContain(`image.version="${version}"`)
})

test('what the image and compose.yaml set are settings of ours, with which a gateway starts', () => {
  const ours = [...compose.matchAll(/^ {6}((?:LATCHKEY_|DATABASE_|REDIS_)\w+): "?([^"\n]*)"?$/gm)].map(
    ([, name = '', value = '']) => [name, value] as const,
  )
  expect(ours.length).toBeGreaterThan(4)
  const settings = { ...environmentOf(image), ...Object.fromEntries(ours) }
  for (const name of Object.keys(settings)) {
    if (name !== 'NODE_ENV') expect.soft(settingNames).toContain(name)
  }
  const read = readConfig(settings)
  expect(read).toMatchObject({ host: '0.0.0.0', adminHost: '0.0.0.0', port, adminPort, drainTimeoutMs })
  // What is written must be in a volume: everything else is read-only.
  const volumes = [...compose.matchAll(/- [a-z-]+:(\/var\/lib\/latchkey[a-z-]*)$/gm)].map(([, path]) => path)
  expect(volumes).toContain(read.dataDirectory)
  expect(read.rootKey).toMatchObject({ kind: 'file', path: expect.stringMatching(`^${volumes[1]}/`) })
})

test('compose.yaml publishes the admin plane to its own machine alone, and waits longer than a drain', () => {
  const published = [...compose.matchAll(/^ {6}- "([\d.]+):(\d+):(\d+)"$/gm)].map(([, ...parts]) => parts)
  expect(published).toEqual([
    ['0.0.0.0', String(port), String(port)],
    ['127.0.0.1', String(adminPort), String(adminPort)],
  ])
  const grace = Number(/^ {4}stop_grace_period: (\d+)s$/m.exec(compose)?.[1])
  expect(grace * 1000).toBeGreaterThan(drainTimeoutMs + 15_000)
  const services = compose.split(/^ {2}(?=[a-z]+:$)/m).filter((part) => /^[a-z]+:\n {4}/.test(part))
  expect(services.map((part) => part.split(':')[0])).toEqual(['gateway', 'postgres', 'redis', 'passwords'])
  for (const service of services) {
    for (const line of ['read_only: true', 'cap_drop: ["ALL"]', 'security_opt: ["no-new-privileges:true"]'])
      expect.soft(service).toContain(`    ${line}\n`)
  }
})

test('docs/deployment.md names settings that there are', () => {
  const named = new Set(read('docs/deployment.md').match(/\b(?:LATCHKEY|DATABASE|REDIS)_[A-Z0-9_]+\b/g))
  expect(named.size).toBeGreaterThan(10)
  // Read by the command line.
  const others = ['LATCHKEY_URL', 'LATCHKEY_TOKEN']
  for (const name of named) if (!others.includes(name)) expect.soft(settingNames).toContain(name)
})
