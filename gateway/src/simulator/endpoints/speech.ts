import { eventsAnswer, type Piece } from '../answer.ts'
import type { Endpoint } from '../endpoint.ts'
import { badField, optionalText, requiredText } from '../fields.ts'
import { audioUsage, type Metered, report } from '../metering.ts'
import { countTokens } from '../tokens.ts'
import { usageOf } from '../usage.ts'

/** Silence, as long as the text: https://platform.openai.com/docs/api-reference/audio/createSpeech */
export const speech: Endpoint = {
  method: 'POST',
  path: '/audio/speech',
  takes: 'json',
  answer: (call, body) => {
    requiredText(body, 'model')
    requiredText(body, 'voice')
    const input = requiredText(body, 'input')
    const format = optionalText(body, 'response_format') ?? 'mp3'
    const contentType = contentTypes.get(format)
    if (contentType === undefined) throw badField('response_format', 'is not known')
    const inputTokens = countTokens(input)
    const metered = report(
      call.directions,
      usageOf({ inputTokens, outputTokens: inputTokens * audioTokensPerToken }),
    )
    const frames = inputTokens * framesPerToken
    if (optionalText(body, 'stream_format') === 'sse')
      return eventsAnswer(soundEvents(frames, metered), metered.billed)
    return {
      kind: 'pieces',
      contentType,
      pieces: sound(frames, metered),
      length: null,
      usage: metered.billed,
    }
  },
}

const contentTypes = new Map([
  ['mp3', 'audio/mpeg'],
  ['opus', 'audio/opus'],
  ['aac', 'audio/aac'],
  ['flac', 'audio/flac'],
  ['wav', 'audio/wav'],
  ['pcm', 'audio/pcm'],
])

const audioTokensPerToken = 4
const framesPerToken = 8
const framesPerPiece = 16

// MPEG-1 layer III, 128 kbit/s, 44.1 kHz, mono: a frame header and no sound. ISO/IEC 11172-3, 2.4.1.
const frame = Buffer.alloc(417)
frame.writeUInt32BE(0xfffb90c4)
const longest = Buffer.concat(Array.from({ length: framesPerPiece }, () => frame))

function* sound(frames: number, { billed }: Metered): Generator<Piece, void, undefined> {
  let tokens = billed.outputTokens
  for (let sent = 0; sent < frames; sent += framesPerPiece) {
    const count = Math.min(framesPerPiece, frames - sent)
    const outputTokens = Math.ceil((tokens * count) / (frames - sent))
    tokens -= outputTokens
    yield { data: longest.subarray(0, count * frame.length), outputTokens, reports: false }
  }
}

function* soundEvents(frames: number, metered: Metered): Generator<Piece, void, undefined> {
  for (const { data, outputTokens } of sound(frames, metered)) {
    const audio = Buffer.from(data).toString('base64')
    yield { data: event({ type: 'speech.audio.delta', audio }), outputTokens, reports: false }
  }
  const usage = metered.stated === null ? {} : { usage: audioUsage(metered.stated) }
  yield {
    data: event({ type: 'speech.audio.done', ...usage }),
    outputTokens: 0,
    reports: metered.stated !== null,
  }
}

function event(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`
}
