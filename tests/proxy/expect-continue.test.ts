import { afterAll, expect, test } from 'vitest'
import { answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { connectTo, head } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const expecting = { 'content-length': 2, expect: '100-continue' }

test.each(['application/json', 'audio/mpeg'])(
  'a client that waits to send its body (%s) is told to go on once its key is accepted',
  async (type) => {
    const upstream = await startFakeUpstream(answerJson({ fine: true }))
    const authorization = `Bearer ${(await gateway.keyFor(upstream)).token}`
    const { socket, until } = connectTo(gateway.url)
    socket.write(head('POST', '/v1/files', { authorization, 'content-type': type, ...expecting }))
    expect(await until('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    socket.write('{}')
    expect(await until('{"fine":true}')).toContain('HTTP/1.1 200 OK')
    expect(upstream.requests[0]?.headers.expect).toBeUndefined()
    expect(upstream.requests[0]?.body().toString()).toBe('{}')
  },
)

test.each(['100-continue, x', 'x="a, b", 100-Continue ', ',100-continue,'])(
  'what a client expects beside that (%s) is ignored',
  async (expect100) => {
    const upstream = await startFakeUpstream(answerJson({ fine: true }))
    const authorization = `Bearer ${(await gateway.keyFor(upstream)).token}`
    const { socket, until } = connectTo(gateway.url)
    const headers = { authorization, 'content-type': 'application/json', 'content-length': 2 }
    socket.write(head('POST', '/v1/files', { ...headers, expect: expect100 }))
    expect(await until('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    socket.write('{}')
    expect(await until('{"fine":true}')).toContain('HTTP/1.1 200 OK')
  },
)

test('an HTTP/1.0 client gets no interim answer, which it would take for the answer', async () => {
  const upstream = await startFakeUpstream(answerJson({ fine: true }))
  const authorization = `Bearer ${(await gateway.keyFor(upstream)).token}`
  const { socket, until } = connectTo(gateway.url)
  const request = head('POST', '/v1/files', {
    authorization,
    'content-type': 'application/json',
    ...expecting,
  })
  socket.write(`${request.replace('HTTP/1.1', 'HTTP/1.0')}{}`)
  expect(await until('{"fine":true}')).toMatch(/^HTTP\/1.1 200 /)
})

test('a client that is refused is never told to send its body', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const provider = { baseUrl: upstream.baseUrl }
  const limited = await gateway.keyFor(provider, { models: ['a'] })
  const elsewhere = await gateway.keyFor(provider, { endpoints: ['/v1/other'] })
  const cases = [
    [{}, '401'],
    [{ authorization: 'Bearer lk_nonsense' }, '401'],
    [{ authorization: `Bearer ${elsewhere.token}` }, '403'],
    [{ authorization: `Bearer ${limited.token}`, 'content-type': 'audio/mpeg' }, '415'],
    [
      {
        authorization: `Bearer ${limited.token}`,
        'content-type': 'application/json',
        'content-length': 2 ** 40,
      },
      '413',
    ],
  ] as const
  for (const [headers, status] of cases) {
    const { socket, until } = connectTo(gateway.url)
    socket.write(head('POST', '/v1/chat/completions', { ...expecting, ...headers }))
    expect(await until('}')).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  }
  expect(upstream.requests).toHaveLength(0)
})

test('an expectation that we can’t meet is refused by the server itself', async () => {
  const { socket, until } = connectTo(gateway.url)
  socket.write(head('POST', '/v1/files', { 'content-length': 2, expect: 'the-unexpected' }))
  expect(await until('\r\n\r\n')).toMatch(/^HTTP\/1.1 4/)
})
