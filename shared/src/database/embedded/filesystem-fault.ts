import { LatchkeyError } from '../../errors.ts'

/** Runs `action`; what the file system refuses becomes `disk_full` or `directory_unreachable`. */
export function withFilesystemFaults<Result>(path: string, action: () => Result): Result {
  try {
    return action()
  } catch (error) {
    throw filesystemFault(error, path)
  }
}

/**
 * The fault that an error of `node:fs` amounts to: `disk_full`, or `directory_unreachable` with
 * what to do. Any other error is returned as it is. `path` is named where the error names none.
 */
export function filesystemFault(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error
  const at = 'path' in error && typeof error.path === 'string' ? error.path : path
  const unreachable = (message: string) =>
    new LatchkeyError('directory_unreachable', { message, details: { path: at }, cause: error })
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return diskFull(at, error)
    case 'EACCES':
    case 'EPERM':
      return unreachable(
        `${at} may not be used by this user (uid ${process.getuid?.() ?? 'unknown'}). Start the gateway as the user who owns it, or set LATCHKEY_DATA_DIR to a directory of your own.`,
      )
    case 'EROFS':
      return unreachable(
        `${at} is on a read-only file system. Set LATCHKEY_DATA_DIR to a directory that can be written.`,
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return unreachable(`${at} is not a directory. Set LATCHKEY_DATA_DIR to one.`)
    case 'ENOENT':
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return unreachable(
        `${at} cannot be opened (${error.code}). Set LATCHKEY_DATA_DIR to another directory.`,
      )
    default:
      return error
  }
}

export function diskFull(path: string, cause: unknown): LatchkeyError {
  return new LatchkeyError('disk_full', {
    message: `The disk that holds ${path} is full. Free some space and start again; nothing is lost.`,
    details: { path },
    cause,
  })
}
