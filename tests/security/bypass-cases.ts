import { gzipSync } from 'node:zlib'
import type { ErrorCode } from '@latchkey/shared'

/** An attempt to get at another model, or around the endpoints, with a key for `gpt-5-nano` and `gpt-4o*`. */
export interface Attempt {
  readonly name: string
  readonly code: ErrorCode
  readonly method?: string
  readonly target?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
}

const chat = '/v1/chat/completions'
const json = { 'content-type': 'application/json' }
const allowedBody = '{"model":"gpt-5-nano","messages":[]}'
export const boundary = 'b0undary'
export const formType = `multipart/form-data; boundary=${boundary}`

/** One part of a form. */
export function part(name: string, value: string, more = ''): string {
  return `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
}

export const audio = part('file', 'RIFF', '; filename="a.wav"\r\nContent-Type: audio/wav')
export const closing = `--${boundary}--\r\n`

function bodies(
  code: ErrorCode,
  target: string,
  texts: Readonly<Record<string, string | Buffer>>,
): readonly Attempt[] {
  return Object.entries(texts).map(([name, body]) => ({
    name: `a body with ${name}`,
    code,
    target,
    headers: json,
    body,
  }))
}

const models = [
  ...bodies('model_not_allowed', chat, {
    'another model': '{"model":"gpt-5"}',
    'a longer name': '{"model":"gpt-5-nano-2"}',
    'a shorter name': '{"model":"gpt-4"}',
    'a pattern for a name': '{"model":"gpt-5-nano*"}',
    'the name in capitals': '{"model":"GPT-5-NANO"}',
    'a space behind the name': '{"model":"gpt-5-nano "}',
    'a space before the name': '{"model":" gpt-4o"}',
    'a NUL behind the name': '{"model":"gpt-5-nano\\u0000"}',
    'a name of other letters that look alike': '{"model":"gрt-4o"}',
    'a second name behind a comma': '{"model":"gpt-4o,gpt-5"}',
    'a second name behind a line end': '{"model":"gpt-4o\\ngpt-5"}',
    'a NUL in a name that begins as one may': '{"model":"gpt-4o\\u0000"}',
    'a space behind a name that begins as one may': '{"model":"gpt-4o "}',
    'an invisible space in a name that begins as one may': '{"model":"gpt-4o\u200b"}',
    'a fallback with a comma': '{"model":"gpt-4o","models":["gpt-4o,gpt-5"]}',
    'no model': '{"messages":[]}',
    'an empty name': '{"model":""}',
    'null for a name': '{"model":null}',
    'a list of models': '{"model":["gpt-5-nano"]}',
    'an object for a model': '{"model":{"id":"gpt-5-nano"}}',
    'the model in __proto__': '{"__proto__":{"model":"gpt-5-nano"}}',
    'the model one level down': '{"body":{"model":"gpt-5-nano"}}',
    'fallbacks in a list': '{"model":"gpt-5-nano","models":["gpt-4o","gpt-5"]}',
    'a fallback as a text': '{"model":"gpt-5-nano","models":"gpt-5"}',
    'a fallback as an object': '{"model":"gpt-5-nano","models":{"0":"gpt-5"}}',
    'a fallback that is no name': '{"model":"gpt-5-nano","models":[["gpt-5"]]}',
  }),
  ...bodies('model_not_allowed', '/v1/responses', {
    'a tool with another model':
      '{"model":"gpt-4o","tools":[{"type":"image_generation","model":"gpt-image-1"}]}',
    'a tool that chooses a model itself': '{"model":"gpt-4o","tools":[{"type":"image_generation"}]}',
    'a second tool with another model':
      '{"model":"gpt-4o","tools":[{"type":"function"},{"type":"x","model":"gpt-5"}]}',
    'a tool without a name for its model': '{"model":"gpt-4o","tools":[{"type":"x","model":null}]}',
    'a stored prompt': '{"model":"gpt-4o","prompt":{"id":"pmpt_1"}}',
    'a stored prompt and no model': '{"prompt":{"id":"pmpt_1","version":"2"},"input":"x"}',
  }),
  ...bodies('invalid_request', chat, {
    'two models': '{"model":"gpt-5-nano","model":"gpt-5"}',
    'two models, the allowed one last': '{"model":"gpt-5","model":"gpt-5-nano"}',
    'a second model whose name is escaped': '{"model":"gpt-5-nano","\\u006dodel":"gpt-5"}',
    'a first model whose name is escaped': '{"m\\u006Fdel":"gpt-5","model":"gpt-5-nano"}',
    'a second Model': '{"model":"gpt-5-nano","Model":"gpt-5"}',
    'fallbacks in MODELS': '{"model":"gpt-5-nano","MODELS":["gpt-5"]}',
    'two lists of tools': '{"model":"gpt-4o","tools":[],"tools":[{"type":"image_generation","model":"x"}]}',
    'a tool with two models': '{"model":"gpt-4o","tools":[{"type":"x","model":"gpt-4o","model":"gpt-5"}]}',
    'a tool with two types': '{"model":"gpt-4o","tools":[{"type":"image_generation","type":"function"}]}',
    'two prompts': '{"model":"gpt-4o","prompt":"x","prompt":{"id":"pmpt_1"}}',
  }),
  ...bodies('invalid_json', chat, {
    'a list at its root': `[${allowedBody}]`,
    'two documents': `${allowedBody}{"model":"gpt-5"}`,
    'two lines of JSON': `${allowedBody}\n${allowedBody}`,
    'a byte order mark': `\ufeff${allowedBody}`,
    'a comment': `{"model":"gpt-5-nano"/*,"model":"gpt-5"*/}`,
    'a comma at its end': '{"model":"gpt-5-nano",}',
    'single quotes': "{'model':'gpt-5-nano'}",
    'UTF-16': Buffer.from('{"model":"gpt-5"}', 'utf16le'),
    'an overlong spelling of a letter': Buffer.from(
      '{"model":"gpt-5-nano","\xc1\xadodel":"gpt-5"}',
      'latin1',
    ),
    nothing: '  ',
  }),
]

const otherEndpoints: readonly Attempt[] = [
  ['POST', '/v1/batches'],
  ['GET', '/v1/batches/batch_1'],
  ['POST', '/v1/assistants'],
  ['POST', '/v1/threads'],
  ['POST', '/v1/threads/runs'],
  ['POST', '/v1/threads/thread_1/runs'],
  ['POST', '/v1/fine_tuning/jobs'],
  ['POST', '/v1/realtime/sessions'],
  ['POST', '/v1/realtime/client_secrets'],
  ['POST', '/v1/realtime/calls'],
  ['GET', '/v1/realtime?model=gpt-4o'],
  ['POST', '/v1/files'],
  ['GET', '/v1/files/file-1/content'],
  ['POST', '/v1/uploads'],
  ['POST', '/v1/vector_stores'],
  ['POST', '/v1/evals'],
  ['POST', '/v1/containers'],
  ['POST', '/v1/conversations'],
  ['POST', '/v1/videos'],
  ['POST', '/v1/chatkit/sessions'],
  ['GET', '/v1/responses/resp_1'],
  ['POST', '/v1/responses/resp_1/cancel'],
  ['GET', chat],
  ['POST', `${chat}/chatcmpl-1`],
  ['DELETE', '/v1/models/gpt-4o'],
  ['POST', '/v1/models/gpt-4o'],
  ['GET', '/v1/organization/admin_api_keys'],
  ['POST', '/v1/engines/gpt-5/completions'],
  ['POST', '/v1/deployments/gpt-5/chat/completions'],
  ['POST', '/v1/edits'],
  ['POST', '/v1'],
  ['POST', '/v1/'],
].map(([method = '', target = '']) => ({
  name: `${method} ${target}`,
  code: 'endpoint_not_allowed',
  method,
  target,
  headers: json,
  body: allowedBody,
}))

const paths: readonly Attempt[] = [
  ...[
    '/v1/chat/completions/',
    '/v1/Chat/Completions',
    '/v1/chat%2Fcompletions',
    '/v1/chat/completions;v=2',
    '/v1/chat/completions%20',
    '/v1/chat/completions.json',
  ].map((target) => ({ target, code: 'endpoint_not_allowed' as const })),
  ...[
    '/v1/chat/%63ompletions',
    '/v1//chat/completions',
    '//v1/chat/completions',
    '/v1/./chat/completions',
    '/v1/models/../chat/completions',
    '/v1/models/%2e%2e/chat/completions',
    '/v1/models/%252e%252e/batches',
    '/v1/models/..%2Fbatches',
    '/v1/models/..%5Cbatches',
    '/v1/chat/completions%00',
    '/v1/chat/completions%0d%0aX-A:b',
    '/v1/chat/completions#x',
    '/V1/chat/completions',
    '/chat/completions',
    '/v2/chat/completions',
    '/../v1/chat/completions',
    'http://elsewhere.example/v1/chat/completions',
    '/http://elsewhere.example/v1',
    '/simulator.internal/v1/chat/completions',
  ].map((target) => ({ target, code: 'not_found' as const })),
  ...['/openai/v1/chat/completions', '/simulator/v1/chat/completions'].map((target) => ({
    target,
    code: 'permission_denied' as const,
  })),
  ...[
    '?model=gpt-5',
    '?a=b&MODEL=gpt-5',
    '?%6Dodel=gpt-5',
    '?model=gpt-5-nano&model=gpt-5',
    '?model[]=gpt-5',
    '?model%5B0%5D=gpt-5',
    '?%20model=gpt-5',
    '?+Model+=gpt-5',
    '?model%00=gpt-5',
    '?model%E2%80%8B=gpt-5',
    '?a=b;model=gpt-5',
    '?model=gpt-4o;model=gpt-5',
    '?models=gpt-5',
    '?models[]=gpt-4o&models[]=gpt-5',
    '?model=gpt-4o,gpt-5',
    '?model=gpt-4o%0Agpt-5',
  ].map((query) => ({
    target: `${chat}${query}`,
    code: 'model_not_allowed' as const,
  })),
].map(({ target, code }) => ({
  name: `POST ${target}`,
  code,
  target,
  headers: json,
  body: '{"model":"gpt-4o"}',
}))

const modelPaths: readonly Attempt[] = [
  { target: '/v1/models/gpt-5', code: 'model_not_allowed' as const },
  { target: '/v1/models/GPT-4o', code: 'model_not_allowed' as const },
  { target: '/v1/models/ft%3Agpt-4o%3Aacme', code: 'model_not_allowed' as const },
  { target: '/v1/models/gpt-4o/../gpt-5', code: 'not_found' as const },
  { target: '/v1/models/gpt-4o%2F..%2Fgpt-5', code: 'not_found' as const },
  { target: '/v1/models/gpt-4o/permissions', code: 'endpoint_not_allowed' as const },
].map((each) => ({ ...each, name: `GET ${each.target}`, method: 'GET' }))

const types: readonly Attempt[] = [
  ...[
    'application/x-www-form-urlencoded',
    'text/plain',
    'text/json',
    'application/octet-stream',
    'application/x-ndjson',
    'application/jsonx',
    'multipart/mixed; boundary=x',
    'application/json, text/plain',
    'application/json; charset=utf-16',
    'application/json; charset=UTF-7',
    'application/json; charset="shift_jis"',
    'application/json;charset=utf-8;charset=utf-7',
    "application/json; charset*=utf-7''x",
  ].map((type) => ({
    name: `JSON sent as ${type}`,
    code: 'unsupported_media_type' as const,
    headers: { 'content-type': type },
    body: allowedBody,
  })),
  { name: 'JSON without a content type', code: 'unsupported_media_type', body: allowedBody },
  {
    name: 'a form for a JSON endpoint',
    code: 'unsupported_media_type',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'model=gpt-5-nano&model=gpt-5',
  },
  {
    name: 'gzipped JSON',
    code: 'unsupported_media_type',
    headers: { ...json, 'content-encoding': 'gzip' },
    body: gzipSync('{"model":"gpt-5"}'),
  },
  {
    name: 'JSON that is said to be gzipped',
    code: 'unsupported_media_type',
    headers: { ...json, 'content-encoding': 'gzip' },
    body: allowedBody,
  },
  {
    name: 'two content encodings',
    code: 'unsupported_media_type',
    headers: { ...json, 'content-encoding': ['identity', 'gzip'] },
    body: allowedBody,
  },
  {
    name: 'two content types',
    code: 'invalid_request',
    headers: { 'content-type': ['application/json', 'application/x-www-form-urlencoded'] },
    body: allowedBody,
  },
  {
    name: 'the same content type twice',
    code: 'invalid_request',
    headers: { 'content-type': ['application/json', 'application/json'] },
    body: allowedBody,
  },
]

const methods: readonly Attempt[] = [
  ...['GET', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND', 'TRACE'].map((method) => ({
    name: `${method} with a body, and POST in the override headers`,
    method,
    code: 'endpoint_not_allowed' as const,
    headers: {
      ...json,
      'x-http-method-override': 'POST',
      'x-http-method': 'POST',
      'x-method-override': 'POST',
    },
    body: '{"model":"gpt-5"}',
  })),
  { name: 'POST without a body', method: 'POST', code: 'model_not_allowed' },
]

/** What is refused from the head, or from the whole of a buffered body: nothing of it reaches an upstream. */
export const refusedUnsent: readonly Attempt[] = [
  ...models,
  ...otherEndpoints,
  ...paths,
  ...modelPaths,
  ...types,
  ...methods,
]

function forms(code: ErrorCode, texts: Readonly<Record<string, string>>): readonly Attempt[] {
  return Object.entries(texts).map(([name, body]) => ({
    name: `a form with ${name}`,
    code,
    target: '/v1/audio/transcriptions',
    headers: { 'content-type': formType },
    body,
  }))
}

/** What is known only when an upload is under way: the upstream may see its beginning, never its end. */
export const refusedUnderWay: readonly Attempt[] = [
  ...forms('model_not_allowed', {
    'another model': part('model', 'gpt-5') + audio + closing,
    'another model behind the file': audio + part('model', 'gpt-5') + closing,
    'no model': audio + closing,
    'the model as a prompt': part('prompt', 'gpt-4o') + audio + closing,
    'a line end behind the name': part('model', 'gpt-5-nano\r\n') + audio + closing,
    'a second name behind a comma': part('model', 'gpt-4o,gpt-5') + audio + closing,
    'a NUL in its name': part('model', 'gpt-4o\0') + audio + closing,
    'a large file before another model':
      part('file', 'x'.repeat(300_000), '; filename="a.wav"') + part('model', 'gpt-5') + closing,
  }),
  ...forms('invalid_request', {
    'two models': part('model', 'gpt-4o') + part('model', 'gpt-5') + audio + closing,
    'two models around the file': part('model', 'gpt-4o') + audio + part('model', 'gpt-5') + closing,
    'a Model': part('model', 'gpt-4o') + part('Model', 'gpt-5') + audio + closing,
    'a model[]': part('model', 'gpt-4o') + part('model[]', 'gpt-5') + audio + closing,
    'a fallback': part('model', 'gpt-4o') + part('models', 'gpt-5') + audio + closing,
    'fallbacks in a list': part('model', 'gpt-4o') + audio + part('models[]', 'gpt-5') + closing,
    'fallbacks by number': part('model', 'gpt-4o') + audio + part('Models[0]', 'gpt-5') + closing,
    'an escaped name': part('model', 'gpt-4o') + part('mo\\del', 'gpt-5') + audio + closing,
    'a name with a space': part('model', 'gpt-4o') + part('model ', 'gpt-5') + audio + closing,
    'a name in another charset':
      part('model', 'gpt-4o') + part('x', 'gpt-5').replace('name="x"', "name*=utf-8''model") + closing,
    'two names for a part': part('model', 'gpt-4o') + part('x', 'gpt-5', '; name="model"') + closing,
    'a folded header': part('model', 'gpt-4o') + part('x', 'gpt-5').replace('; name', ';\r\n name') + closing,
    'a model that is a file': part('model', 'gpt-4o', '; filename="m"') + audio + closing,
    'bare line feeds': (part('model', 'gpt-4o') + audio).replaceAll('\r\n', '\n') + closing,
    'a model behind a bare line feed':
      part('model', 'gpt-4o') + part('x', `y\n${part('model', 'gpt-5')}z`) + closing,
    'a boundary in the middle of a line':
      part('model', 'gpt-4o') + part('x', `y${part('model', 'gpt-5')}z`) + closing,
    'a model before its first boundary': `${part('model', 'gpt-5').slice(boundary.length + 4)}${part('model', 'gpt-4o')}${closing}`,
    'a model behind its end': part('model', 'gpt-4o') + audio + closing + part('model', 'gpt-5') + closing,
    'a form inside':
      part('model', 'gpt-4o') +
      part('x', `--i\r\n\r\n--i--`, '\r\nContent-Type: multipart/mixed; boundary=i') +
      closing,
    'no end': part('model', 'gpt-4o') + audio,
    'a line that begins like a boundary':
      part('model', 'gpt-4o') + audio + closing.replace('--\r\n', 'x--\r\n') + closing,
  }),
]
