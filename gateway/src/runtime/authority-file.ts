import { readFileSync } from 'node:fs'
import { LatchkeyError } from '@latchkey/shared'

/** The certificate authority (PEM) in the file that `variable` names. Throws `invalid_config` where it can't be read. */
export function readAuthority(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new LatchkeyError('invalid_config', {
      message: `${variable} is ${JSON.stringify(file)}, but it must be a file that can be read.`,
      param: variable,
      cause,
    })
  }
}
