import { LatchkeyError, Secret } from '@latchkey/shared'

/**
 * Reads a provider's secret: 1 to 4096 visible ASCII characters, after one newline at its end was dropped
 * (`echo` and editors add it). Throws `invalid_request`, without a word of the secret.
 */
export function parseProviderSecret(secret: Secret): Secret {
  const text = secret.reveal().replace(/\r?\n$/, '')
  if (text.length > 4096 || !/^[!-~]+$/.test(text))
    throw new LatchkeyError('invalid_request', {
      message: 'A secret has 1 to 4096 visible ASCII characters, without spaces or line breaks.',
      param: 'secret',
    })
  return new Secret(text)
}
