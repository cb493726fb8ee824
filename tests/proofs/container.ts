// Whether the image would work: runs the Dockerfile's own steps in a new directory, without a container engine, and starts
// what they have made as its CMD says. `npm run check-container`. Asks the npm registry for what the lock file names.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  environmentOf,
  execForm,
  parseCopy,
  parseDockerfile,
  type Stage,
  textsOf,
} from '../support/dockerfile.ts'
import { freePort } from '../support/free-port.ts'
import { startPostgres } from '../support/postgres.ts'

const checkout = resolve(import.meta.dirname, '../..')
const stages = parseDockerfile(readFileSync(join(checkout, 'Dockerfile'), 'utf8'))
const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-container-'))
// Somebody else than the owner of the files: it must be able to read them, and to write none.
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
const patienceMs = 30_000

/** A path of a stage's file system, which is a directory here. */
function inside(stage: string, path: string): string {
  return join(directory, stage, path)
}

function nameOf(stage: Stage): string {
  return stage.name ?? 'image'
}

function build(stage: Stage): void {
  const name = nameOf(stage)
  let workingDirectory = '/'
  for (const { name: instruction, text } of stage.instructions) {
    if (instruction === 'WORKDIR') {
      workingDirectory = text
      mkdirSync(inside(name, text), { recursive: true })
    }
    if (instruction === 'COPY') copy(name, workingDirectory, text)
    if (instruction === 'RUN') {
      print(`${name}: ${text}`)
      run(localized(name, text), inside(name, workingDirectory))
    }
  }
}

function copy(stage: string, workingDirectory: string, text: string): void {
  const { from, sources, target } = parseCopy(text)
  const to = inside(stage, resolve(workingDirectory, target))
  for (const source of sources) {
    const origin = from === null ? join(checkout, source) : inside(from, source)
    const isDirectory = statSync(origin).isDirectory()
    const intoDirectory = target.endsWith('/') || target === '.'
    cpSync(origin, !isDirectory && intoDirectory ? join(to, basename(source)) : to, {
      recursive: true,
      verbatimSymlinks: true,
      // As .dockerignore has it.
      filter: (path) => from !== null || !/\/(?:node_modules|dist|\.latchkey)$|\.tsbuildinfo$/.test(path),
    })
  }
}

/** A command with its absolute paths inside the stage, and without the image's user, which this machine doesn't have. */
function localized(stage: string, text: string): string {
  for (const path of ['/usr/local/bin', '/var/lib']) mkdirSync(inside(stage, path), { recursive: true })
  return text
    .replace(/(?<=[ '"])\/(?=app|usr\/local|var\/lib)/g, `${inside(stage, '/')}`)
    .replace(/-o node -g node/g, '')
}

function run(command: string, cwd: string): void {
  execFileSync('sh', ['-euc', command], { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Starts the CMD with the ENV of the image, where nothing but its data directory may be written, until all workers serve. */
async function serve(image: Stage, more: Readonly<Record<string, string>>, workers: number) {
  const [, ...command] = execForm(textsOf(image, 'CMD')[0] ?? '')
  const data = environmentOf(image).LATCHKEY_DATA_DIR ?? ''
  const env = {
    ...environmentOf(image),
    PATH: `${inside('image', '/usr/local/bin')}:${process.env.PATH}`,
    LATCHKEY_DATA_DIR: inside('image', data),
    ...more,
  }
  const child = spawn('latchkey', [...command, '--workers', String(workers)], {
    env,
    stdio: 'inherit',
    cwd: '/',
    ...nobody,
  })
  try {
    const deadline = performance.now() + patienceMs
    while (!(isHealthy(image, env) && liveProcesses(env) === workers)) {
      if (hasEnded(child)) throw new Error(`it has ended with ${child.exitCode}`)
      if (performance.now() > deadline) throw new Error('it does not become healthy')
      await sleep(100)
    }
    print(`${workers} of ${workers} workers serve`)
  } finally {
    if (!hasEnded(child)) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
  if (child.exitCode !== 0) throw new Error(`it ended with ${child.exitCode}`)
}

/** By the image's own command line. */
function liveProcesses(env: NodeJS.ProcessEnv): number {
  const status = execFileSync('latchkey', ['vault', 'status'], { env, encoding: 'utf8', ...nobody })
  return Number(/(\d+) live/.exec(status)?.[1])
}

/** By the image's own HEALTHCHECK. */
function isHealthy(image: Stage, env: NodeJS.ProcessEnv): boolean {
  const [program = '', ...args] = execForm(textsOf(image, 'HEALTHCHECK')[0] ?? '')
  try {
    execFileSync(program, args, { env, ...nobody })
    return true
  } catch {
    return false
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

const postgres = await startPostgres()
try {
  chmodSync(directory, 0o755)
  for (const stage of stages) build(stage)
  const image = stages.at(-1)
  if (image === undefined) throw new Error('the Dockerfile has no stage')
  const app = inside('image', '/app')
  if (existsSync(join(app, 'gateway/src'))) throw new Error('sources are in the image')
  print(execFileSync('du', ['-sh', app], { encoding: 'utf8' }).trim())
  execFileSync('chmod', ['-R', 'a-w', app])
  if (nobody.uid !== undefined) execFileSync('chown', ['-R', `${nobody.uid}`, inside('image', '/var/lib')])
  for (const workers of [1, 2]) {
    const ports = { LATCHKEY_PORT: String(await freePort()), LATCHKEY_ADMIN_PORT: String(await freePort()) }
    await serve(image, { ...ports, DATABASE_URL: postgres.url(await postgres.createDatabase()) }, workers)
    rmSync(inside('image', '/var/lib/latchkey/root.key'))
  }
  print('The steps of the Dockerfile make a gateway that serves. The image itself was not built here.')
} finally {
  await postgres.discard()
  execFileSync('chmod', ['-R', 'u+w', directory])
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
}
