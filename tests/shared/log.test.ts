import { randomUUID } from 'node:crypto'
import { crashFields, errorFields, redact } from '@latchkey/shared'
import { expect, test } from 'vitest'

test.each([
  'lk_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM',
  'acme_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM',
  'acmea_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM',
  'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  'sk-proj-0123456789',
  'sk-ant-api03-0123456789',
  'gsk_0123456789abcdef',
  'xai-0123456789abcdef',
  'AIzaSyA0123456789abcdef',
  'Bearer anything.at-all',
  'postgres://latchkey:pass@word/with:signs@',
])('%s is not written', (credential) => {
  expect(redact(`before ${credential} after`)).toBe('before [secret] after')
})

test.each([
  randomUUID(),
  '/var/lib/latchkey/postgres',
  '47d0f56b81c4e08677823c2230331f5c',
  'gpt-4o-mini-2024-07-18',
  'http://127.0.0.1:8787/v1',
])('%s is no credential', (text) => {
  expect(redact(text)).toBe(text)
})

test('of a bug the frames are written, and of other errors none', () => {
  const bug = errorFields(new TypeError('no sk-proj-0123456789'))
  expect(bug).toMatchObject({ errorName: 'TypeError', errorMessage: 'no [secret]' })
  expect(bug.errorStack).toMatch(/^at .*log\.test\.ts/)
  expect(errorFields(new Error('refused')).errorStack).toBeUndefined()
})

test('of a crash the frames are written whatever it was, without what was thrown', () => {
  const crash = crashFields(new Error('no sk-proj-0123456789'))
  expect(crash.errorStack).toMatch(/^at .*log\.test\.ts/)
  expect(JSON.stringify(crash)).not.toContain('0123456789')
  expect(crashFields('a text')).toEqual({ errorName: 'string' })
})
