import { parentPort } from 'node:worker_threads'
import { countText, type LoadedEncoding, loadEncoding } from './count-text.ts'
import type { EncodingName } from './encoding.ts'

/** What the thread is asked, and answers: the tokens of all texts together. */
export interface CountAsk {
  readonly encoding: EncodingName
  readonly texts: readonly string[]
}

export interface CountAnswer {
  readonly tokens: number
}

const loaded = new Map<EncodingName, Promise<LoadedEncoding>>()

parentPort?.on('message', async ({ encoding, texts }: CountAsk) => {
  const loading = loaded.get(encoding) ?? loadEncoding(encoding)
  loaded.set(encoding, loading)
  const tables = await loading
  let tokens = 0
  for (const text of texts) tokens += countText(tables, text)
  const answer: CountAnswer = { tokens }
  parentPort?.postMessage(answer)
})
