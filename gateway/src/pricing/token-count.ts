import type { Log } from '@latchkey/shared'
import type { PricedAsk } from './bound/ask.ts'
import { CountThread } from './tokenizer/count-thread.ts'
import { countableText } from './tokenizer/countable-text.ts'
import { encodingOf } from './tokenizer/encoding.ts'
import { Turns } from './tokenizer/turns.ts'

export interface TokenCounterOptions {
  readonly log: Log
  /** Milliseconds after the last count until the thread ends, and about half of its memory comes back. */
  readonly idleMs?: number
  /** Milliseconds that one count may take, loading the tokenizer included. */
  readonly deadlineMs?: number
  /** Milliseconds that a count may wait for those before it. */
  readonly waitMs?: number
}

export type TextCount =
  /** The most tokens that the text is, images apart: `textTokens` of its bound. */
  | { readonly kind: 'counted'; readonly tokens: number }
  /** The bytes must do, now and later. */
  | { readonly kind: 'uncountable' }
  /** There is no time to count it now. */
  | { readonly kind: 'busy' }

const uncountable: TextCount = Object.freeze({ kind: 'uncountable' })
const busy: TextCount = Object.freeze({ kind: 'busy' })

/** The most text of one request that is counted, in UTF-16 units: at worst it takes a third of a second. */
const mostText = 256 * 1024
/** What each text may add where it meets its neighbours: pieces that join across the seam. */
const seamTokens = 8

/**
 * Counts the tokens of requests whose bytes are too many for a budget. In a thread of its own, since loading
 * takes a quarter of a second, a count up to a third, and all of it 75 MB. Keys take turns at it.
 */
export class TokenCounter {
  readonly #thread: CountThread
  readonly #turns: Turns
  #closed = false

  constructor({ log, idleMs = 60_000, deadlineMs = 2000, waitMs = 2000 }: TokenCounterOptions) {
    this.#thread = new CountThread({ log, idleMs, deadlineMs })
    this.#turns = new Turns(waitMs)
  }

  /**
   * Counts the text of `ask` for `key`, which has one count waiting at the most. Not countable: another provider
   * than OpenAI, whose tokenizers are not public or not bound to a model's name, an unknown model, text that nobody
   * may count, or too much of it. Busy, too, where `signal` is aborted.
   *
   * What is counted stands for its own bytes only; every other byte of the body is still a token. So this is
   * no less than the tokens of the whole for the reason that the bytes are not: a model reads each text as it
   * stands, and frames it with fewer tokens than the JSON around it has bytes.
   */
  async textTokens(ask: PricedAsk, key: string, signal: AbortSignal): Promise<TextCount> {
    if (ask.provider !== 'openai' || typeof ask.fields.model !== 'string') return uncountable
    const encoding = encodingOf(ask.fields.model)
    if (encoding === null) return uncountable
    const countable = countableText(ask, mostText)
    if (countable === null) return uncountable
    const { texts, otherBytes } = countable
    if (this.#closed || !(await this.#turns.take(key, signal))) return busy
    try {
      // Whoever waited for its turn may have seen us closed.
      if (this.#closed) return busy
      const count = await this.#thread.count({ encoding, texts })
      switch (count.kind) {
        case 'counted':
          return { kind: 'counted', tokens: otherBytes + count.tokens + seamTokens * texts.length }
        case 'late':
          return busy
        case 'failed':
          return uncountable
        default:
          return count satisfies never
      }
    } finally {
      this.#turns.end()
    }
  }

  /** Whether the tables are in memory. */
  get loaded(): boolean {
    return this.#thread.running
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#turns.clear()
    await this.#thread.close()
  }
}
