import { readFileSync } from 'node:fs'
import { LatchkeyError, Secret } from '@latchkey/shared'

/**
 * The password in the file that `variable` names: its first line, as other programs read such files. Throws
 * `invalid_config` where it can't be read or is empty.
 */
export function readPassword(variable: string, file: string): Secret {
  let text = ''
  let cause: unknown
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    cause = error
  }
  const [password = ''] = text.split(/\r?\n/)
  if (password !== '') return new Secret(password)
  throw new LatchkeyError('invalid_config', {
    message: `${variable} is ${JSON.stringify(file)}, but it must be a file that can be read and holds a password.`,
    param: variable,
    ...(cause === undefined ? {} : { cause }),
  })
}
