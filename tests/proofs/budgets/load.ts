import { setTimeout as sleep } from 'node:timers/promises'
import { type Ask, plainAsk } from './ask.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import type { Dice } from './dice.ts'
import type { Notes } from './trial.ts'

/** Draws the next request. */
export type Draw = (dice: Dice) => Ask

const lanes = 32
/** Whoever is refused, or finds nobody, is not back at once. */
const restMs = 20

/** Sends `count` requests, some at a time, and resolves when all have ended. */
export async function runLoad(
  deployment: Deployment,
  notes: Notes,
  count: number,
  dice: Dice,
  draw: Draw,
): Promise<void> {
  let left = count
  const lane = async () => {
    while (left-- > 0) await sendOne(deployment, notes, dice, draw)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** Requests without an end, until it is stopped. */
export class Load {
  readonly #lanes: readonly Promise<void>[]
  readonly codes = new Map<string, number>()
  #stopping = false

  constructor(deployment: Deployment, notes: Notes, dice: Dice, draw: Draw, width = lanes) {
    const lane = async () => {
      while (!this.#stopping) {
        const said = await sendOne(deployment, notes, dice, draw)
        this.codes.set(said, (this.codes.get(said) ?? 0) + 1)
        if (said !== '200') await sleep(restMs)
      }
    }
    this.#lanes = Array.from({ length: width }, lane)
  }

  /** How many requests were answered with this status, or refused with this code; `none`: no answer came. */
  count(said: string): number {
    return this.codes.get(said) ?? 0
  }

  /** How many requests have ended. */
  get total(): number {
    return [...this.codes.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Counts anew from here on. */
  forget(): void {
    this.codes.clear()
  }

  /** Begins no more requests, and resolves when those that were begun have ended. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#lanes)
  }
}

async function sendOne(deployment: Deployment, notes: Notes, dice: Dice, draw: Draw): Promise<string> {
  const gateway = await deployment.gateway(dice.below(1000))
  const outcome = await deployment.clients.send(gateway.dataUrl, draw(dice))
  notes.add(outcome, gateway)
  return outcome.code ?? String(outcome.status ?? 'none')
}

const faults = [
  'status=500',
  'status=429',
  'reset-before-headers',
  'cut=3',
  'reset',
  'omit-usage',
  'trickle',
] as const

/** Requests of all kinds, whose upstream mostly answers, and never bills more than it may. */
export function mixed(keys: readonly [ProofKey, ...ProofKey[]]): Draw {
  return (dice) => ({
    ...plainAsk(dice.pick(keys)),
    prompt: 'word '.repeat(1 + dice.below(60)),
    maxTokens: dice.chance(80) ? 20 + dice.below(60) : null,
    outputTokens: 5 + dice.below(60),
    stream: dice.chance(50),
    latencyMs: dice.below(40),
    pace: dice.pick([0, 0, 400]),
    fault: dice.chance(10) ? dice.pick(faults) : null,
    leaves: dice.chance(10) ? { afterEvents: dice.below(30) } : null,
  })
}
