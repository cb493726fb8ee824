import { Agent } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { startFakeUpstream, type UpstreamExchange } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { askJson } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const usage = '"usage":{"prompt_tokens":7,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":3}}'
const usageEvent = `data: {"id":"c","model":"m-1","choices": [ ],${usage}}\n\n`
/** Every shape that events come in: comments, fields, empty data, several lines, and near misses of a usage event. */
const chatEvents = [
  ': a comment\n\n',
  'data: {"id":"c","model":"m-1","choices":[],"prompt_filter_results":[]}\n\n',
  'data:{"choices":[{"delta":{"content":"é漢🙂"}}],"usage":null}\n\n',
  'id: 7\nevent: delta\ndata: {"choices":[{"delta":{"content":"\\"usage\\":{} \\"choices\\":[]"}}]}\n\n',
  'data: {"choices":\ndata: []}\n\n',
  usageEvent,
  'data: [DONE]\n\n',
]
const responseEvents = [
  'event: response.created\ndata: {"type":"response.created","response":{"model":"m-1","usage":null}}\n\n',
  ': é漢🙂\n\nevent: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"é漢🙂"}\n\n',
  'event: response.completed\ndata: {"type":"response.completed","response":{"model":"m-1","usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":3},"output_tokens":9}}}\n\n',
]
const crlf = (events: readonly string[]) => events.map((event) => event.replaceAll('\n', '\r\n'))
const without = (events: readonly string[]) => events.filter((event) => !event.includes('"prompt_tokens"'))

const chat = '/v1/chat/completions'
const asked = { stream: true, stream_options: { include_usage: true } }
const cases = [
  ['with usage that was asked for, line ends LF', chat, asked, chatEvents, chatEvents],
  ['with usage that was asked for, line ends CRLF', chat, asked, crlf(chatEvents), crlf(chatEvents)],
  ['less the usage event, line ends LF', chat, { stream: true }, chatEvents, without(chatEvents)],
  [
    'less the usage event, line ends CRLF',
    chat,
    { stream: true },
    crlf(chatEvents),
    crlf(without(chatEvents)),
  ],
  ['of a response, line ends LF', '/v1/responses', { stream: true }, responseEvents, responseEvents],
  [
    'of a response, line ends CRLF',
    '/v1/responses',
    { stream: true },
    crlf(responseEvents),
    crlf(responseEvents),
  ],
] as const

/** Two turns of the event loop are enough for the gateway, in this process, to have read what was written. */
async function writeApart({ response }: UpstreamExchange, parts: readonly Buffer[]): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const part of parts) {
    await new Promise((resolve) => response.write(part, resolve))
    await turn()
    await turn()
  }
  response.end()
}

test.each(cases)(
  'a stream arrives byte for byte %s, wherever it is split, and its usage is recorded',
  async (_title, path, body, events, expected) => {
    const bytes = Buffer.from(events.join(''))
    const wanted = Buffer.from(expected.join(''))
    const upstream = await startFakeUpstream((exchange) => {
      const at = Number(exchange.request.headers['x-client-request-id'])
      return writeApart(exchange, [bytes.subarray(0, at), bytes.subarray(at)])
    })
    const key = await gateway.keyFor(upstream)
    const agent = new Agent({ keepAlive: true, maxSockets: 24 })
    const splits = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1)
    const wrong: number[] = []
    await Promise.all(
      splits.map(async (at) => {
        const answer = await askJson(
          gateway.url,
          path,
          { model: 'm', ...body },
          {
            key,
            agent,
            headers: { 'x-client-request-id': String(at) },
          },
        )
        if (!answer.complete || !answer.body.equals(wanted)) wrong.push(at)
      }),
    )
    agent.destroy()
    expect(wrong).toEqual([])
    const records = await gateway.records(key, splits.length)
    expect(records).toHaveLength(splits.length)
    const told = { status: 200, streamed: true, usageMissing: false, truncated: false, disconnected: false }
    const tokens = { model: 'm', responseModel: 'm-1', inputTokens: 7, cachedInputTokens: 3, outputTokens: 9 }
    for (const record of records)
      expect(record).toMatchObject({ ...told, ...tokens, responseBytes: bytes.length })
  },
)

test.each(cases)(
  'a stream arrives byte for byte %s, one byte at a time',
  async (_title, path, body, events, expected) => {
    const bytes = Buffer.from(events.join(''))
    const upstream = await startFakeUpstream((exchange) =>
      writeApart(
        exchange,
        Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)),
      ),
    )
    const key = await gateway.keyFor(upstream)
    const answer = await askJson(gateway.url, path, { model: 'm', ...body }, { key })
    expect(answer.body.toString()).toBe(expected.join(''))
    const [record] = await gateway.records(key)
    expect(record).toMatchObject({ inputTokens: 7, outputTokens: 9 })
  },
)

test('a split stream really arrives in two parts', async () => {
  const upstream = await startFakeUpstream((exchange) =>
    writeApart(exchange, [Buffer.from('data: 1'), Buffer.from('\n\n')]),
  )
  const key = await gateway.keyFor(upstream)
  const response = await fetch(`${gateway.url}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key.token}`, 'content-type': 'application/json' },
    body: '{"stream":true}',
  })
  const parts: string[] = []
  for await (const part of response.body ?? []) parts.push(Buffer.from(part).toString())
  expect(parts).toEqual(['data: 1', '\n\n'])
})
