import type { Cluster, Redis } from 'ioredis'
import { limitsScript, limitsScriptSha } from './script.ts'

export type RedisClient = Redis | Cluster

/** What comes back to a bucket, or is taken of it after the fact. */
export interface Correction {
  readonly key: string
  readonly periodMs: number
  /** Below 0: taken on top. */
  readonly amount: number
  /** The limit when it was taken. */
  readonly limitThen: number
  /** What was taken in advance and now is used or comes back; 0: nothing was. */
  readonly chunk: number
  /** Redis' span in which that was. */
  readonly span: number
}

/** Slots of one scope, by the ids of requests. */
export interface SlotChanges {
  readonly key: string
  readonly released: readonly string[]
  /** Taken, or still in flight: kept for another lease. */
  readonly held: readonly string[]
}

/** A limit that a request asks for. */
export interface AskedLimit {
  readonly key: string
  /** Null: slots. */
  readonly periodMs: number | null
  readonly limit: number
  /** What the request takes; of slots, the milliseconds to wait for one. */
  readonly cost: number
}

/** One request's ask of all its limits. */
export interface Question {
  readonly limits: readonly AskedLimit[]
  /** The request, in slots. */
  readonly id: string
  /** Requests like this one that may be taken in advance. */
  readonly ahead: number
  /** In advance at most one part in so many of what is free is taken. */
  readonly spared: number
}

/** All keys of one call are of one organization, so that they are on one node of a Redis Cluster. */
export interface LimitsCall {
  readonly corrections: readonly Correction[]
  readonly slots: readonly SlotChanges[]
  readonly question: Question | null
}

/** What Redis decided, by places in the question's list; a call without a question is granted nothing. */
export interface Answer {
  /** The limit that lasts longest, or null: granted. */
  readonly refusing: number | null
  readonly retryAfterMs: number
  /** Requests taken in advance. */
  readonly ahead: number
  /** Redis' span of that. */
  readonly span: number
  readonly states: readonly { readonly remaining: number; readonly fullAfterMs: number | null }[]
}

/** A call that finds out whether the node that `call` was for takes writes. */
export function probeFor({ corrections, slots, question }: LimitsCall): LimitsCall {
  const { key } = [...corrections, ...slots, ...(question?.limits ?? [])][0] ?? { key: '' }
  const probeKey = `${key.slice(0, key.indexOf('}') + 1)}:probe`
  return { corrections: [], slots: [{ key: probeKey, released: [], held: ['probe'] }], question: null }
}

export interface ScriptTimes {
  /** How long a slot is its request's without being renewed. */
  readonly leaseMs: number
  /** Milliseconds; null: Redis' own clock, which all processes share. */
  readonly now: number | null
}

/**
 * Sends one call. Rejects with what the client rejects with, or where the reply is none of the script's. A server
 * that has forgotten the script is sent all of it.
 */
export async function callLimits(client: RedisClient, call: LimitsCall, times: ScriptTimes): Promise<Answer> {
  const { keys, values } = write(call, times)
  const reply = await client.evalsha(limitsScriptSha, keys.length, ...keys, ...values).catch((error) => {
    if (!isForgotten(error)) throw error
    return client.eval(limitsScript, keys.length, ...keys, ...values)
  })
  return call.question === null ? noAnswer : readAnswer(reply, call.question.limits.length)
}

function isForgotten(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT')
}

function write({ corrections, slots, question }: LimitsCall, { leaseMs, now }: ScriptTimes) {
  const keys: string[] = []
  const values: (string | number)[] = [now ?? -1, leaseMs, corrections.length]
  for (const { key, periodMs, amount, limitThen, chunk, span } of corrections) {
    keys.push(key)
    values.push(periodMs, amount, limitThen, chunk, span)
  }
  values.push(slots.length)
  for (const { key, released, held } of slots) {
    keys.push(key)
    values.push(released.length, ...released, held.length, ...held)
  }
  values.push(question?.limits.length ?? 0)
  if (question === null) return { keys, values }
  for (const { key, periodMs, limit, cost } of question.limits) {
    keys.push(key)
    values.push(periodMs ?? 0, limit, cost)
  }
  values.push(question.id, question.ahead, question.spared)
  return { keys, values }
}

const noAnswer: Answer = { refusing: null, retryAfterMs: 0, ahead: 0, span: 0, states: [] }
const answerHead = 5

function readAnswer(reply: unknown, limits: number): Answer {
  const numbers = Array.isArray(reply) ? reply : []
  if (numbers.length !== answerHead + 2 * limits || !numbers.every((each) => typeof each === 'number'))
    throw new Error('the script of rate limits gave no answer')
  const [granted, refusing, retryAfterMs, ahead, span, ...rest] = numbers as number[]
  return {
    refusing: granted === 1 ? null : at(refusing) - 1,
    retryAfterMs: at(retryAfterMs),
    ahead: at(ahead),
    span: at(span),
    states: Array.from({ length: limits }, (_, index) => {
      const fullAfterMs = at(rest[2 * index + 1])
      return { remaining: at(rest[2 * index]), fullAfterMs: fullAfterMs < 0 ? null : fullAfterMs }
    }),
  }
}

function at(value: number | undefined): number {
  return value ?? 0
}
