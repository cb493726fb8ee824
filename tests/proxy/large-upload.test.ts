import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { mintedProxyKeyWire } from '@latchkey/shared'
import OpenAI, { toFile } from 'openai'
import { expect, test } from 'vitest'
import { type KillableGateway, startKillableGateway } from '../security/killable-gateway.ts'
import { answerJson, type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const mebibyte = 2 ** 20
const size = 100 * mebibyte
const mostGrowth = 50 * mebibyte

/** Bytes that a process has, or had at its peak, in memory: proc_pid_status(5). */
function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
}

/** Makes the peak start anew from what there is now: proc_pid_clear_refs(5). */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

async function clientOf(gateway: KillableGateway, upstream: FakeUpstream): Promise<OpenAI> {
  const { baseUrl } = upstream
  const provider = { name: 'main', provider: 'openai-compatible', baseUrl, secret: 'sk-1234567890' }
  await gateway.admin('POST', '/provider-keys', provider)
  const minted = await gateway.admin('POST', '/keys', { name: 'alice', providerKeys: ['main'] })
  const { key } = mintedProxyKeyWire.parse(JSON.parse(minted.text))
  return new OpenAI({ apiKey: key, baseURL: `${(await gateway.ready()).dataUrl}/v1`, maxRetries: 0 })
}

test.skipIf(process.platform !== 'linux')(
  'an upload and a download of 100 MB each grow the gateway by less than 50 MB',
  async () => {
    const content = randomBytes(size)
    const upstream = await startFakeUpstream(async ({ request, response, socket }) => {
      const body = await request.whole()
      if (request.method === 'GET') response.writeHead(200, { 'content-length': size }).end(content)
      else answerJson({ id: 'file-1', whole: body.includes(content) })({ request, response, socket })
    })
    const gateway = startKillableGateway(temporaryDirectory())
    const client = await clientOf(gateway, upstream)
    await client.files.create({
      file: await toFile(Buffer.alloc(mebibyte), 'small.bin'),
      purpose: 'user_data',
    })

    const before = memory(gateway.pid, 'VmRSS')
    forgetPeak(gateway.pid)
    const file = await toFile(content, 'large.bin')
    const uploaded = await client.files.create({ file, purpose: 'user_data' })
    expect(uploaded).toMatchObject({ whole: true })
    expect(memory(gateway.pid, 'VmHWM') - before).toBeLessThan(mostGrowth)

    const answer = await client.files.content('file-1')
    expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true)
    expect(memory(gateway.pid, 'VmHWM') - before).toBeLessThan(mostGrowth)
    expect(await gateway.stop()).toBe(0)
  },
  60_000,
)
