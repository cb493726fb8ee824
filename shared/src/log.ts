import { pino } from 'pino'

/**
 * The only fields that a log line may carry. Anything else is dropped when it is written, so that
 * a header bag, a body or a config can't slip in. Values are short and never come from a secret.
 */
const allowedFields = [
  'address',
  'attempt',
  'bytes',
  'code',
  'count',
  'dataDirectory',
  'deadline',
  'durationMs',
  'endpoint',
  'errorCode',
  'errorMessage',
  'errorName',
  'errorStack',
  'exitCode',
  'file',
  'keyId',
  'major',
  'method',
  'migration',
  'model',
  'name',
  'pauseMs',
  'pid',
  'provider',
  'providerKeyId',
  'purpose',
  'reason',
  'requestId',
  'ringVersion',
  'rows',
  'signal',
  'state',
  'status',
  'streams',
  'url',
  'variable',
  'version',
  'worker',
] as const

export type LogFields = {
  readonly [Field in (typeof allowedFields)[number]]?: string | number | boolean | null
}

/** Events, not sentences: `log.info('request.settled', { requestId, status })`. */
export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  /** Whether debug lines are written: ask before building their fields on a hot path. */
  readonly debugging: boolean
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

// Credentials that a library's error message might quote: our own tokens under any prefix, and those of
// the providers that mark theirs. This only has to recognise what must not be written.
const credential = new RegExp(
  [
    String.raw`\blk[a-z]?_[0-9A-Za-z_]{4,}`,
    String.raw`\b[a-z]{2,17}_[0-9A-Za-z]{12}_[0-9A-Za-z]{20,}`,
    String.raw`\bwhsec_[0-9A-Za-z+/=]{4,}`,
    String.raw`\b(?:sk|pk|rk|xai|gsk|hf|r8)[-_][0-9A-Za-z_-]{8,}`,
    String.raw`\bAIza[0-9A-Za-z_-]{8,}`,
    String.raw`\b(?:Bearer|Basic)\s+\S+`,
    // The password of a URL, and with it what stands before: `postgres://user:password@`.
    String.raw`\b[a-z][a-z0-9+.-]*:\/\/[^\s/@]*:\S*@`,
  ].join('|'),
  'gi',
)

/** `text` with everything that looks like a credential replaced, and cut to 500 characters. */
export function redact(text: string): string {
  return text.replace(credential, '[secret]').slice(0, 500)
}

/** What may be logged of an error: its name, code and redacted message. Causes are followed to the first. */
export function errorFields(error: unknown): LogFields {
  let root = error
  for (let depth = 0; depth < 5 && root instanceof Error && root.cause instanceof Error; depth++)
    root = root.cause
  if (!(root instanceof Error)) return { errorName: typeof root }
  const code: unknown = 'code' in root ? root.code : undefined
  return {
    errorName: root.name,
    errorMessage: redact(root.message),
    ...(isBug(root) ? { errorStack: frames(root) } : {}),
    ...(typeof code === 'string' || typeof code === 'number' ? { errorCode: code } : {}),
  }
}

/** As `errorFields`, with the place where it was thrown: for what nobody caught. */
export function crashFields(error: unknown): LogFields {
  return { ...errorFields(error), ...(error instanceof Error ? { errorStack: frames(error) } : {}) }
}

/** An error that no outside world causes: only the code that it names can be mended. */
function isBug(error: Error): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}

/** Where it was thrown: the frames alone, since a stack begins with the message. */
function frames(error: Error): string {
  const lines = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? []
  return redact(
    lines
      .slice(0, 6)
      .map((line) => line.trim())
      .join(' | '),
  )
}

function pick(fields: LogFields): Record<string, string | number | boolean | null> {
  const picked: Record<string, string | number | boolean | null> = {}
  for (const field of allowedFields) {
    const value: unknown = fields[field]
    if (typeof value === 'string') picked[field] = redact(value)
    else if (typeof value === 'number' || typeof value === 'boolean' || value === null) picked[field] = value
  }
  return picked
}

/** JSON lines on standard error by default: standard output belongs to the CLI's results. Each line has the fields `always`. */
export function createLog(
  level: LogLevel,
  destination: { write(line: string): void } = process.stderr,
  always: LogFields = {},
): Log {
  const logger = pino(
    {
      level,
      base: pick(always),
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      messageKey: 'event',
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  return {
    debugging: logger.isLevelEnabled('debug'),
    debug: (event, fields) => (fields ? logger.debug(pick(fields), event) : logger.debug(event)),
    info: (event, fields) => (fields ? logger.info(pick(fields), event) : logger.info(event)),
    warn: (event, fields) => (fields ? logger.warn(pick(fields), event) : logger.warn(event)),
    error: (event, fields) => (fields ? logger.error(pick(fields), event) : logger.error(event)),
  }
}
