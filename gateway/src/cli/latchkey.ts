#!/usr/bin/env -S node --conditions=source --max-semi-space-size=16 --expose-gc
// A young generation that many requests in flight fit into: a smaller one is swept in the middle of them, which takes a
// fifth of their CPU time. The chunks of large bodies are collected while they pass (proxy/passing-memory.ts).
import { enableCompileCache, flushCompileCache } from 'node:module'
import { join } from 'node:path'

// Sources are stripped of their types and compiled once, not at every start: it halves the time to ready.
// Beside the dependencies, whose writers could change what we run anyway; never in a directory that others share.
enableCompileCache(join(import.meta.dirname, '../../../node_modules/.cache/latchkey'))
const { systemClock } = await import('@latchkey/shared')
const { run } = await import('./program.ts')
const { Terminal } = await import('./terminal.ts')

const { env, stdin, stdout, stderr } = process

// Whoever reads our output may stop at any time (`| head`): that is no failure.
stdout.on('error', (error) => {
  if ('code' in error && error.code === 'EPIPE') process.exit(0)
  throw error
})

const terminal = new Terminal({ stdin, stdout, stderr })
process.exitCode = await run(process.argv.slice(2), { env, terminal, clock: systemClock })
// A gateway runs on from here, and may be killed: what was compiled is kept now.
flushCompileCache()
