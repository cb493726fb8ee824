import { styleText } from 'node:util'
import { type ExitCode, exitCode } from './exit-code.ts'

/** Where a command reads and writes. Results go to `stdout`, all else to `stderr`. */
export interface Streams {
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
}

/** What a command uses of standard input: a pipe, a file or a terminal. */
export interface Input extends NodeJS.ReadableStream {
  readonly isTTY?: boolean
  setRawMode?(mode: boolean): unknown
}

/** What a command uses of standard output and standard error. */
export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean
}

type Style = Parameters<typeof styleText>[0]

/** The two outputs of a command, kept apart so that a script can read the first. */
export class Terminal {
  readonly streams: Streams
  /** What the process ends with, if no failure is thrown. */
  exitCode: ExitCode = exitCode.ok

  constructor(streams: Streams) {
    this.streams = streams
  }

  /** The one JSON document of a command that was given `--json`. */
  json(value: unknown): void {
    this.streams.stdout.write(`${harmlessJson(value, this.streams.stdout.isTTY ? 2 : 0)}\n`)
  }

  /** One document a line, for what comes bit by bit. */
  jsonLine(value: unknown): void {
    this.streams.stdout.write(`${harmlessJson(value, 0)}\n`)
  }

  /** A line of the result. */
  line(text = ''): void {
    this.streams.stdout.write(`${text}\n`)
  }

  /** A line for whoever watches, which no script reads. */
  note(text: string): void {
    this.streams.stderr.write(`${text}\n`)
  }

  /** `text` in a style; as it is where the result goes to no terminal, or NO_COLOR is set. */
  style(style: Style, text: string): string {
    return styleText(style, text, { stream: this.streams.stdout })
  }

  /**
   * Says on standard error that `what` is going on until `work` ends: a line that counts seconds on a
   * terminal, one plain line elsewhere.
   */
  async during<Result>(what: string, work: Promise<Result>): Promise<Result> {
    const { stderr } = this.streams
    if (!stderr.isTTY) {
      this.note(`${what} …`)
      return work
    }
    const begun = performance.now()
    const show = () => stderr.write(`\r${what} … ${Math.round((performance.now() - begun) / 1000)} s`)
    show()
    const timer = setInterval(show, 1000)
    try {
      return await work
    } finally {
      clearInterval(timer)
      stderr.write('\r\u001b[K')
    }
  }
}

// Model names, paths and user ids come from whoever sent a request: on a terminal they could forge rows or worse.
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** `text` with its control and formatting characters made visible. */
export function printable(text: string): string {
  return text.replace(invisible, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** JSON of the same value, whose strings hold the same characters as `printable` shows, escaped as JSON has it. */
function harmlessJson(value: unknown, indent: number): string {
  return JSON.stringify(value, null, indent).replace(invisible, (character) =>
    // Between strings, JSON has line ends only.
    character === '\n' ? character : escapeUnits(character),
  )
}

/** Each UTF-16 unit as `\uXXXX`: beyond the basic plane, JSON needs both. */
function escapeUnits(character: string): string {
  return Array.from(
    { length: character.length },
    (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
  ).join('')
}
