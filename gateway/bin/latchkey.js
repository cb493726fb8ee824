#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --conditions=source --no-memory-reducer --min-semi-space-size=16 --max-semi-space-size=16
// The command of a checkout. JavaScript: the first file is stripped of its types before there is a cache, which takes 40 ms.
// A young generation that many requests in flight fit into: a smaller one is swept in the middle of them, which takes a
// fifth of their CPU time. From the start, which fills a growing one several times.
// No collections for the sake of memory while nothing is in flight: with the objects of requests go their shapes, and with
// these the code that was compiled for them, so that the first seconds after a rest would cost what those after a start do.
// One heap of malloc's for all threads: each would keep the 19 MiB that argon2 took in it.
import { enableCompileCache, flushCompileCache } from 'node:module'
import { join } from 'node:path'

// Sources are stripped of their types and compiled once, not at every start: it halves the time to ready.
// Beside the dependencies, whose writers could change what we run anyway; never in a directory that others share.
enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/latchkey'))
await import('../src/cli/latchkey.ts')
// A gateway runs on from here, and may be killed: what was compiled is kept now.
flushCompileCache()
