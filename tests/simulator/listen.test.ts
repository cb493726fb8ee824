import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startSimulator } from '../../gateway/src/simulator/simulator.ts'
import { chat, send, simulate } from './simulated.ts'

async function socketPath(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-simulator-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return join(directory, 'simulator.sock')
}

async function onSocket(path: string) {
  const simulator = await startSimulator({ listen: { socketPath: path } })
  onTestFinished(() => simulator.close())
  return simulator
}

test('a unix socket serves the same API, and only its owner may open it', async () => {
  const path = await socketPath()
  const simulator = await onSocket(path)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect((await chat(simulator)).status).toBe(200)
  expect((await chat(simulator, {}, { 'x-simulator-fault': 'reset' })).complete).toBe(false)
  await expect(chat(simulator, {}, { 'x-simulator-fault': 'reset-before-headers' })).rejects.toThrow()
})

test('a socket that a killed process left behind is taken over, one that is served is not', async () => {
  const path = await socketPath()
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`
  const killed = spawn(process.execPath, ['-e', script])
  await once(killed.stdout, 'data')
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  expect((await stat(path)).isSocket()).toBe(true)
  const simulator = await onSocket(path)
  await expect(onSocket(path)).rejects.toMatchObject({ code: 'port_in_use' })
  expect((await chat(simulator)).status).toBe(200)
})

test('a port in use is refused by code', async () => {
  const { address } = await simulate()
  if (address.kind !== 'tcp') throw new Error('It listens elsewhere.')
  const second = startSimulator({ listen: { host: address.host, port: address.port } })
  await expect(second).rejects.toMatchObject({ code: 'port_in_use' })
})

test('another base path moves the API, and the books stay', async () => {
  const simulator = await simulate({ basePath: '/openai/v2' })
  expect(simulator.address.baseUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/openai\/v2$/)
  expect((await send(simulator, { path: '/openai/v2/models' })).status).toBe(200)
  expect((await send(simulator, { path: '/v1/models' })).status).toBe(404)
  expect((await send(simulator, { path: '/books' })).status).toBe(200)
})

test('close ends connections in the middle of an answer', async () => {
  const simulator = await startSimulator({ listen: { host: '127.0.0.1', port: 0 } })
  const first = Promise.withResolvers<void>()
  const answer = chat(simulator, { stream: true }, { 'x-simulator-fault': 'hang' }, () => first.resolve())
  await first.promise
  await simulator.close()
  expect((await answer).complete).toBe(false)
})

test('a large upload is counted and not kept', async () => {
  const { address } = await simulate()
  const chunk = Buffer.alloc(64 * 1024)
  const chunks = 4096
  const before = process.memoryUsage().rss
  let most = before
  function* form() {
    yield '--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    yield '--x\r\ncontent-disposition: form-data; name="file"; filename="big"\r\n\r\n'
    for (let sent = 0; sent < chunks; sent++) {
      most = Math.max(most, process.memoryUsage.rss())
      yield chunk
    }
    yield '\r\n--x--\r\n'
  }
  const upload = request(`${address.baseUrl}/files`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=x', authorization: 'Bearer sk-simulated' },
  })
  const answered = once(upload, 'response')
  await pipeline(form, upload)
  const [response] = await answered
  expect(await json(response)).toMatchObject({ bytes: chunks * chunk.length, filename: 'big' })
  // Node leaves about 64 MB of read buffers to the collector before it runs.
  expect(most - before).toBeLessThan((chunks * chunk.length) / 2)
})
