import { readFileSync } from 'node:fs'
import { Secret } from '@latchkey/shared'
import { CommandFailure, exitCode } from './exit-code.ts'
import type { Input, Streams } from './terminal.ts'

/** Nobody's secret is longer; whoever pipes a disk image into us is told, not served. */
const mostBytes = 64 * 1024

/**
 * A secret from a file, else from standard input, else, where that is a terminal, from a prompt that
 * shows nothing. Never from the arguments: those are seen by every user of the machine. Throws `CommandFailure`.
 */
export async function readSecret(
  prompt: string,
  file: string | undefined,
  streams: Streams,
): Promise<Secret> {
  if (file !== undefined) return fromFile(file)
  if (streams.stdin.isTTY) return promptSecret(prompt, streams)
  const text = await fromPipe(streams.stdin)
  if (text.trim() === '') {
    throw new CommandFailure(
      exitCode.usage,
      'Nothing came on standard input. Pipe the secret in, or name a file with --secret-file.',
    )
  }
  return new Secret(text)
}

/** Asks on the terminal and shows nothing of the answer. Throws `CommandFailure` on Ctrl-C or no answer. */
export function promptSecret(prompt: string, { stdin, stderr }: Streams): Promise<Secret> {
  stderr.write(`${prompt}: `)
  stdin.setRawMode?.(true)
  stdin.setEncoding('utf8')
  let typed = ''
  return new Promise<Secret>((resolve, reject) => {
    const finish = (end: () => void) => {
      stdin.off('data', read)
      stdin.setRawMode?.(false)
      stdin.pause()
      stderr.write('\n')
      end()
    }
    const read = (text: string) => {
      // A paste comes as one piece, with its line break.
      for (const character of text) {
        if (character === '\u0003') {
          return finish(() => reject(new CommandFailure(exitCode.interrupted, 'Interrupted.')))
        }
        if (character === '\r' || character === '\n' || character === '\u0004') {
          return finish(() =>
            typed === ''
              ? reject(new CommandFailure(exitCode.usage, 'Nothing was typed.'))
              : resolve(new Secret(typed)),
          )
        }
        if (character === '\u007f' || character === '\b') typed = typed.slice(0, -1)
        else typed += character
      }
    }
    stdin.on('data', read)
    stdin.resume()
  })
}

function fromFile(file: string): Secret {
  try {
    return new Secret(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CommandFailure(exitCode.failure, `The secret file ${file} cannot be read.`, error)
  }
}

async function fromPipe(stdin: Input): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of stdin) {
    const bytes = Buffer.from(piece)
    size += bytes.length
    if (size > mostBytes) throw new CommandFailure(exitCode.usage, 'That is too long for a secret.')
    pieces.push(bytes)
  }
  return Buffer.concat(pieces).toString('utf8')
}
