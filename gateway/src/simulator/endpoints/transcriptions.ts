import { type Answer, eventsAnswer, jsonAnswer, type Piece, textAnswer } from '../answer.ts'
import type { Call, Endpoint } from '../endpoint.ts'
import { badField } from '../fields.ts'
import { audioUsage, type Metered, report } from '../metering.ts'
import type { Form } from '../multipart.ts'
import { prose } from '../prose.ts'
import { countTokens, slices, tokensOfBytes } from '../tokens.ts'
import { usageOf } from '../usage.ts'

/** https://platform.openai.com/docs/api-reference/audio/createTranscription */
export const transcriptions: Endpoint = {
  method: 'POST',
  path: '/audio/transcriptions',
  takes: 'form',
  answer: (call, form) => transcribe(call, form, 'transcribe'),
}

/** https://platform.openai.com/docs/api-reference/audio/createTranslation */
export const translations: Endpoint = {
  method: 'POST',
  path: '/audio/translations',
  takes: 'form',
  answer: (call, form) => transcribe(call, form, 'translate'),
}

// 128 kbit/s, and OpenAI's ten audio tokens a second.
const bytesPerSecond = 16_000
const audioTokensPerSecond = 10

function transcribe(call: Call, form: Form, task: 'transcribe' | 'translate'): Answer {
  const file = form.files.find(({ field }) => field === 'file')
  if (file === undefined) throw badField('file', 'is required')
  const model = form.fields.get('model')
  if (!model) throw badField('model', 'is required')
  const seconds = Math.max(1, Math.ceil(file.bytes / bytesPerSecond))
  const text = prose(call.directions.tokens, call.variety)
  const byDuration = model.startsWith('whisper')
  const metered = report(
    call.directions,
    byDuration ? usageOf({ audioSeconds: seconds }) : tokenUsage(form, seconds, text),
  )
  if (!byDuration && form.fields.get('stream') === 'true')
    return eventsAnswer(transcriptEvents(call, text, metered), metered.billed)
  const stated = metered.stated !== null && task === 'transcribe'
  const usage = stated
    ? { usage: byDuration ? { type: 'duration', seconds } : audioUsage(metered.stated) }
    : {}
  switch (form.fields.get('response_format') ?? 'json') {
    case 'json':
      return jsonAnswer({ text, ...usage }, metered.billed, stated)
    case 'verbose_json': {
      const segments = [{ id: 0, seek: 0, start: 0, end: seconds, text, ...segmentQuality }]
      const value = { task, language: 'english', duration: seconds, text, segments, ...usage }
      return jsonAnswer(value, metered.billed, stated)
    }
    case 'text':
      return textAnswer(`${text}\n`, metered.billed)
    case 'srt':
      return textAnswer(`1\n00:00:00,000 --> ${time(seconds)},000\n${text}\n\n`, metered.billed)
    case 'vtt':
      return textAnswer(`WEBVTT\n\n00:00:00.000 --> ${time(seconds)}.000\n${text}\n\n`, metered.billed)
    default:
      throw badField('response_format', 'is not known')
  }
}

const segmentQuality = {
  tokens: [],
  temperature: 0,
  avg_logprob: -0.1,
  compression_ratio: 1,
  no_speech_prob: 0,
}

function tokenUsage(form: Form, seconds: number, text: string) {
  const audioInputTokens = seconds * audioTokensPerSecond
  const promptTokens = tokensOfBytes(Buffer.byteLength(form.fields.get('prompt') ?? ''))
  return usageOf({
    inputTokens: audioInputTokens + promptTokens,
    audioInputTokens,
    outputTokens: countTokens(text),
  })
}

function* transcriptEvents(call: Call, text: string, { stated }: Metered): Generator<Piece, void, undefined> {
  for (const slice of slices(text, call.directions.chunkTokens)) {
    const delta = JSON.stringify({ type: 'transcript.text.delta', delta: slice.text })
    yield { data: `data: ${delta}\n\n`, outputTokens: slice.tokens, reports: false }
  }
  const usage = stated === null ? {} : { usage: audioUsage(stated) }
  const done = JSON.stringify({ type: 'transcript.text.done', text, ...usage })
  yield { data: `data: ${done}\n\n`, outputTokens: 0, reports: stated !== null }
}

function time(seconds: number): string {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return parts.map((part) => String(part).padStart(2, '0')).join(':')
}
