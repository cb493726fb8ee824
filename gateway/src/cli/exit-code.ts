/** What the process ends with; scripts branch on it. 64 and above are those of BSD's sysexits.h. */
export const exitCode = {
  ok: 0,
  /** It was tried, and refused or failed. */
  failure: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** No gateway answers where one was looked for (EX_UNAVAILABLE). */
  noGateway: 69,
  /** The gateway does not accept the admin token (EX_NOPERM). */
  tokenRefused: 77,
  /** A setting that the command needs is missing or wrong (EX_CONFIG). */
  badSetting: 78,
  /** Ctrl-C at a prompt: 128 and the number of SIGINT. */
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCode)[keyof typeof exitCode]

/** Ends the command with a message for people on standard error. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.exitCode = exitCode
  }
}
