import { describe, expect, test } from 'vitest'
import { mark, redact, withoutCutEnd } from '../../gateway/src/capture/redact.ts'

const letters = 'AbCdEf0123456789GhIjKlMnOpQrStUvWxYz'

describe('credentials are taken out by their shape', () => {
  test.each([
    ['a proxy key', `lk_AbCdEf012345_${letters}${letters.slice(0, 13)}`],
    ['a proxy key of another prefix', `acme_AbCdEf012345_${letters}${letters.slice(0, 13)}`],
    ['an admin token', `lka_AbCdEf012345_${letters}`],
    ['a webhook secret', `whsec_${letters}==`],
    ['OpenAI', `sk-${letters}`],
    ['OpenAI, of a project', `sk-proj-${letters}_-x`],
    ['Anthropic', `sk-ant-api03-${letters}`],
    ['OpenRouter', `sk-or-v1-${letters}`],
    ['Stripe', `sk_live_${letters}`],
    ['xAI', `xai-${letters}`],
    ['Groq', `gsk_${letters}`],
    ['Hugging Face', `hf_${letters}`],
    ['Replicate', `r8_${letters}`],
    ['Fireworks', `fw_${letters}`],
    ['Perplexity', `pplx-${letters}`],
    ['NVIDIA', `nvapi-${letters}`],
    ['Cerebras', `csk-${letters}`],
    ['Together', `tgp_v1_${letters}`],
    ['Google', `AIza${letters}`],
    ['Google, a token', `ya29.${letters}`],
    ['AWS', 'AKIAIOSFODNN7EXAMPLE'],
    ['GitHub', `ghp_${letters}`],
    ['GitHub, fine-grained', `github_pat_${letters}_${letters}`],
    ['GitLab', `glpat-${letters}`],
    ['Slack', `xoxb-123456789012-${letters}`],
    ['a JSON Web Token', `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.${letters}`],
    ['a private key', `-----BEGIN RSA PRIVATE KEY-----\n${letters}\n-----END RSA PRIVATE KEY-----`],
  ])('%s', (_, secret) => {
    const text = `before "${secret}" after, and ${secret}`
    expect(redact(text)).toBe(`before "${mark}" after, and ${mark}`)
    expect(redact(JSON.stringify({ messages: [{ content: `my key is ${secret}` }] }))).toBe(
      `{"messages":[{"content":"my key is ${mark}"}]}`,
    )
  })

  test.each([
    ['Authorization: Bearer abcdefghijkl', `Authorization: ${mark}`],
    ['basic QWxhZGRpbjpvcGVu', mark],
    ['postgres://me:hunter22@db/x', `${mark}db/x`],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })
})

describe('what a name calls secret is taken out, whatever it looks like', () => {
  test.each([
    ['{"api_key":"x"}', `{"api_key":"${mark}"}`],
    ['{"apiKey" : "x", "model":"m"}', `{"apiKey" : "${mark}", "model":"m"}`],
    ['{"X-Api-Key":"x"}', `{"X-Api-Key":"${mark}"}`],
    ['{"authorization":"x"}', `{"authorization":"${mark}"}`],
    ['{"db_password":"a\\"b\\\\"}', `{"db_password":"${mark}"}`],
    ['{"password":12345}', `{"password":"${mark}"}`],
    [
      '{"client_secret":"x","access_token":"y","refreshToken":"z"}',
      `{"client_secret":"${mark}","access_token":"${mark}","refreshToken":"${mark}"}`,
    ],
    ['{"password":"cut off in the midd', `{"password":"${mark}"`],
    ['{"password":"cut behind a \\', `{"password":"${mark}"`],
    ['{"arguments":"{\\"password\\": \\"hunter22\\"}"}', `{"arguments":"{\\"password\\": \\"${mark}\\"}"}`],
    [
      '{"a":"{\\"password\\":\\"x\\\\\\"y\\",\\"b\\":1}"}',
      `{"a":"{\\"password\\":\\"${mark}\\",\\"b\\":1}"}`,
    ],
    ['password=hunter22&user=ada', `password=${mark}&user=ada`],
    ['https://host/x?api_key=abc&y=1', `https://host/x?api_key=${mark}&y=1`],
    ['{"api_keys":["x","y]"],"model":"m"}', `{"api_keys":["${mark}"],"model":"m"}`],
    ['{"cookies":["a=b","cut o', `{"cookies":["${mark}"]`],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })
})

describe('however a JSON writer escapes it', () => {
  test.each([
    ['&, by Go', '{"a":"?b=1\\u0026api_key=x\\u0026c=1"}', `{"a":"?b=1\\u0026api_key=${mark}\\u0026c=1"}`],
    [
      'quotes, by .NET',
      '{"a":"{\\u0022password\\u0022: \\u0022x\\\\\\u0022y\\u0022,\\u0022b\\u0022:1}"}',
      `{"a":"{\\u0022password\\u0022: \\u0022${mark}\\u0022,\\u0022b\\u0022:1}"}`,
    ],
    ['+ and =, by .NET', '{"a":"Basic QWxhZGRpbjpv\\u002BcGVu\\u003D"}', `{"a":"${mark}"}`],
    ['slashes, by PHP', '{"a":"Bearer abcdefghijkl\\/mnop"}', `{"a":"${mark}"}`],
    ['slashes of URLs, by PHP', '{"a":"postgres:\\/\\/me:hunter22@db\\/x"}', `{"a":"${mark}db\\/x"}`],
  ])('%s', (_, text, expected) => {
    expect(redact(text)).toBe(expected)
  })
})

describe('media are replaced by their length', () => {
  const data = 'QUJD'.repeat(500)
  test.each([
    [`{"url":"data:image/png;base64,${data}"}`, '{"url":"data:image/png;base64,[2000 characters]"}'],
    [`{"url":"data:image\\/png;base64,QUJD"}`, '{"url":"data:image\\/png;base64,[4 characters]"}'],
    [
      `{"input_audio":{"data":"${data}","format":"wav"}}`,
      '{"input_audio":{"data":"[2000 characters of base64]","format":"wav"}}',
    ],
  ])('%#', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })
})

test('what is no secret stays as it is, byte for byte', () => {
  const text = JSON.stringify({
    model: 'gpt-5-nano',
    messages: [
      {
        role: 'user',
        content: 'The password is under the mat. Ask ada@example.org, +43 1 234; task-list, sk-learn',
      },
    ],
    max_tokens: 100,
    tokens: [1, 2, 3],
    url: 'https://example.org:8080/path?user=1',
    sha: 'a'.repeat(64),
    text: 'Zoë 漢字 🙂\u0000',
  })
  expect(redact(text)).toBe(text)
})

test('the end of a text that was cut can’t hold the beginning of a secret', () => {
  expect(withoutCutEnd(`{"content":"it is sk-${letters.slice(0, 5)}`)).toBe('{"content":"it is ')
  expect(withoutCutEnd('two words ')).toBe('two words ')
})

test.each([
  ['quotes', '"'],
  ['backslashes', '\\'],
  ['escaped quotes', '\\"'],
  ['names of secrets', '"password"'],
  ['names without an end', '"password'],
  ['open members', '"password":"'],
  ['escaped members', '\\"password\\":\\"'],
  ['members with other escapes', '\\u0022password\\u0022:\\u0022'],
  ['open lists', '"password":['],
  ['open lists that can’t go on', '"password":["a",\\'],
  ['escaped slashes', '\\/'],
  ['credentials of escaped slashes', 'Basic \\/\\\\/'],
  ['beginnings of keys', 'sk-'],
  ['beginnings of tokens', 'eyJ-'],
  ['beginnings of tokens with dots', 'eyJabcdefgh.'],
  ['data URLs', 'data:a;b'],
  ['nearly base64', `${'A'.repeat(1023)} `],
  ['schemes', 'a.'],
  ['open URLs', 'ab://a:'],
  ['private keys', '-----BEGIN PRIVATE KEY-----'],
  ['underscores', 'ab_'],
  ['fields', '&password'],
  ['letters', 'a'],
  ['hyphens', '-'],
])('no text takes long: %s', (_, part) => {
  const text = part.repeat(Math.ceil((256 * 1024) / part.length))
  const started = performance.now()
  redact(text)
  withoutCutEnd(text)
  expect(performance.now() - started).toBeLessThan(1_000)
})
