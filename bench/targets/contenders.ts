import { bare, floor } from './bare.ts'
import { bifrost } from './bifrost.ts'
import { latchkey, latchkeyRedis, latchkeyServer, latchkeyUnbudgeted, latchkeyWorkers } from './latchkey.ts'
import { litellm } from './litellm.ts'
import { nginx } from './nginx.ts'
import { portkey } from './portkey.ts'
import type { Contender } from './target.ts'

/** All that can be measured, in the order in which it is reported. */
export const contenders: readonly Contender[] = [
  nginx,
  bare,
  floor,
  latchkey,
  latchkeyUnbudgeted,
  latchkeyServer,
  latchkeyRedis,
  ...latchkeyWorkers,
  portkey,
  litellm,
  bifrost,
]
