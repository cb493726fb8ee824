import { randomUUID } from 'node:crypto'
import { errorFields, redact } from '@latchkey/shared'
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
])('%s is not written', (credential) => {
  expect(redact(`before ${credential} after`)).toBe('before [secret] after')
})

test.each([
  randomUUID(),
  '/var/lib/latchkey/postgres',
  '47d0f56b81c4e08677823c2230331f5c',
  'gpt-4o-mini-2024-07-18',
])('%s is no credential', (text) => {
  expect(redact(text)).toBe(text)
})

test('of a bug the frames are written, and of other errors none', () => {
  const bug = errorFields(new TypeError('no sk-proj-0123456789'))
  expect(bug).toMatchObject({ errorName: 'TypeError', errorMessage: 'no [secret]' })
  expect(bug.errorStack).toMatch(/^at .*log\.test\.ts/)
  expect(errorFields(new Error('refused')).errorStack).toBeUndefined()
})
