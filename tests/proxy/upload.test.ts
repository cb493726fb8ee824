import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { MultipartScanner } from '../../gateway/src/proxy/multipart-scanner.ts'
import { type Refusal, refuse } from '../../gateway/src/proxy/refusal.ts'
import { type Form, type JudgeForm, Upload, UploadRefused } from '../../gateway/src/proxy/upload.ts'

const boundary = 'b0-7'
const closing = `\r\n--${boundary}--`

function part(name: string, value: string, more = ''): string {
  return `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}`
}

const image = part('image', 'PNG', '; filename="a.png"')
const fields = { model: 'gpt-image-1', n: '2' }
const form = [image, part('model', fields.model), part('n', fields.n)].join('\r\n')

/** A request that a client is sending on a real connection, chunked: what `send` writes is a chunk. */
async function receive(): Promise<{
  readonly incoming: IncomingMessage
  readonly send: (text: string) => void
  readonly end: () => void
}> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  const socket: Socket = connect(address.port, '127.0.0.1')
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
  const [incoming] = (await once(server, 'request')) as [IncomingMessage]
  return {
    incoming,
    send: (text) => socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`),
    end: () => socket.write('0\r\n\r\n'),
  }
}

/** What has passed of an upload, and how it ends. */
function drain(upload: Upload): { readonly passed: () => string; readonly ended: Promise<unknown> } {
  const chunks: Buffer[] = []
  const run = async () => {
    for await (const chunk of upload) chunks.push(chunk)
  }
  const ended = run().then(
    () => 'whole',
    (error: unknown) => error,
  )
  return { passed: () => Buffer.concat(chunks).toString(), ended }
}

const allow: JudgeForm = () => null

function uploadOf(incoming: IncomingMessage, decide: JudgeForm = allow): Upload {
  return new Upload(incoming, new MultipartScanner(boundary), decide, 5_000)
}

test('a form goes on up to its closing boundary, which waits for the last judgement', async () => {
  const { incoming, send, end } = await receive()
  const upload = uploadOf(incoming)
  const asked = Promise.withResolvers<Form>()
  const answer = Promise.withResolvers<Refusal | null>()
  upload.beforeEnd = (whole) => {
    asked.resolve(whole)
    return answer.promise
  }
  const { passed, ended } = drain(upload)
  send(form)
  send(closing)
  send('\r\n')
  end()
  expect(await asked.promise).toEqual({
    ...{ model: fields.model, malformed: false, final: true },
    ...{ fields, fieldBytes: fields.model.length + fields.n.length },
  })
  expect(passed()).toBe(form)
  answer.resolve(null)
  expect(await ended).toBe('whole')
  expect(passed()).toBe(`${form}${closing}\r\n`)
})

test('the policy is asked as soon as the model is known and again at the end, money once, last', async () => {
  const { incoming, send, end } = await receive()
  const asked: unknown[] = []
  const note = (who: string) => (seen: Form) => {
    asked.push([who, seen.model, seen.final])
    return null
  }
  const upload = uploadOf(incoming, note('policy'))
  upload.beforeEnd = note('money')
  const { ended } = drain(upload)
  for (const text of [part('model', 'm'), `\r\n${image}`, `\r\n${image}`, closing, '\r\n', '\r\n']) send(text)
  end()
  expect(await ended).toBe('whole')
  expect(asked).toEqual([
    ['policy', 'm', false],
    ['policy', 'm', true],
    ['money', 'm', true],
  ])
})

test.each([
  ['at once', () => refuse('insufficient_quota')],
  ['later', async () => refuse('insufficient_quota')],
])(
  'a refusal of the last judgement, %s, breaks the upload off before its closing boundary',
  async (_when, judge) => {
    const { incoming, send, end } = await receive()
    const upload = uploadOf(incoming)
    upload.beforeEnd = judge
    const { passed, ended } = drain(upload)
    send(form + closing)
    end()
    const error = await ended
    expect(error).toBeInstanceOf(UploadRefused)
    expect(error).toMatchObject({ refusal: { code: 'insufficient_quota' } })
    expect(passed()).toBe(form)
  },
)

test('no money is asked for a form that the policy refuses', async () => {
  const { incoming, send, end } = await receive()
  const upload = uploadOf(incoming, ({ final }) => (final ? refuse('model_not_allowed') : null))
  let asked = 0
  upload.beforeEnd = () => {
    asked++
    return null
  }
  const { ended } = drain(upload)
  send(form + closing)
  end()
  expect(await ended).toMatchObject({ refusal: { code: 'model_not_allowed' } })
  expect(asked).toBe(0)
})

test.each([
  ['a second form behind its end', `${form}${closing}\r\n`, part('n', '10')],
  ['two values of a field', `${form}\r\n${part('n', '10')}${closing}`, ''],
  ['no end', form, ''],
  ['nothing of a form', 'hello', ''],
])(
  'a form with %s is judged as malformed, by no field of it, before it is whole',
  async (_what, text, more) => {
    const { incoming, send, end } = await receive()
    const upload = uploadOf(incoming)
    const asked: Form[] = []
    upload.beforeEnd = (seen) => {
      asked.push(seen)
      return refuse('invalid_request')
    }
    const { passed, ended } = drain(upload)
    send(text)
    if (more !== '') send(more)
    end()
    expect(await ended).toBeInstanceOf(UploadRefused)
    expect(asked).toMatchObject([{ malformed: true, final: true, fields: {} }])
    expect(passed()).not.toContain(closing)
  },
)

test('what follows the end of a malformed form that is allowed goes on as it comes', async () => {
  const { incoming, send, end } = await receive()
  const { passed, ended } = drain(uploadOf(incoming))
  const text = `${form}${closing}${'hello'.repeat(1000)}`
  send(text.slice(0, text.length - 3000))
  send(text.slice(text.length - 3000))
  end()
  expect(await ended).toBe('whole')
  expect(passed()).toBe(text)
})

test('a body that is no form passes without being asked about', async () => {
  const { incoming, send, end } = await receive()
  const upload = new Upload(incoming, null, allow, 5_000)
  expect(upload.readsForm).toBe(false)
  const { passed, ended } = drain(upload)
  send('RIFF')
  end()
  expect([await ended, passed(), upload.bytes, upload.started]).toEqual(['whole', 'RIFF', 4, true])
})
