// One of the processes that serve under a supervisor.
import cluster from 'node:cluster'
import { enableCompileCache, flushCompileCache } from 'node:module'
import { join } from 'node:path'

// As the command line's own.
enableCompileCache(join(import.meta.dirname, '../../../../node_modules/.cache/latchkey'))
const { LatchkeyError } = await import('@latchkey/shared')
const { serve } = await import('../../main.ts')
const { WorkerChannel } = await import('./worker-channel.ts')

const { worker } = cluster
if (worker === undefined) throw new Error('a worker is started by a supervisor')
const channel = new WorkerChannel(worker, Number(process.argv[2]))
try {
  await serve(process.env, channel)
} catch (error) {
  if (!(error instanceof LatchkeyError)) throw error
  // The supervisor tells it: once, and not for each worker.
  await channel.failed(error.message, error.fault.status)
  process.exit(error.fault.status)
}
flushCompileCache()
