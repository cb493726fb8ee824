// The process that `latchkey serve --workers` becomes. It loads little, since it serves nothing itself.
import { enableCompileCache, flushCompileCache } from 'node:module'
import { join } from 'node:path'

// As the command line's own.
enableCompileCache(join(import.meta.dirname, '../../../../node_modules/.cache/latchkey'))
const { systemClock } = await import('@latchkey/shared/clock')
const { crashFields, createLog, logLevels } = await import('@latchkey/shared/log')
const { servingNote } = await import('../../serving-note.ts')
const { Supervisor } = await import('./supervisor.ts')

const [workers, level, drainTimeoutMs] = process.argv.slice(2)
const log = createLog(logLevels.find((each) => each === level) ?? 'info')
process.on('uncaughtException', (error) => {
  log.error('process.crashed', crashFields(error))
  // The workers notice that it has gone, drain and end.
  process.exit(70)
})

const supervisor = new Supervisor({
  count: Number(workers),
  drainTimeoutMs: Number(drainTimeoutMs),
  clock: systemClock,
  log,
})
let stopping = false
const onSignal = (signal: NodeJS.Signals) => {
  // npm passes on the signal that the whole group has got already: the second one changes nothing.
  if (stopping) return
  stopping = true
  log.info('gateway.stopping', { signal })
  void supervisor.stop().then(() => process.exit(0))
}
process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onSignal)

const start = await supervisor.start()
flushCompileCache()
if (start.kind === 'failed') {
  if (start.message !== null && !stopping) process.stderr.write(`${start.message}\n`)
  process.exitCode = start.exitCode
} else if (!stopping) {
  const { dataUrl, adminUrl, dataDirectory } = start.served
  log.info('gateway.ready', { url: dataUrl, pid: process.pid, dataDirectory, count: Number(workers) })
  if (process.stderr.isTTY) process.stderr.write(`${servingNote({ dataUrl, adminUrl, mode: 'server' })}\n`)
}
