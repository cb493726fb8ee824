import { errorFields, type Log } from '@latchkey/shared'

/** What `work` on a file or directory of a spool comes to, or null where the disk does not let it; the log then names it. */
export async function onDisk<Result>(
  path: string,
  log: Log,
  work: () => Result | Promise<Result>,
): Promise<Result | null> {
  try {
    return await work()
  } catch (error) {
    log.error('spool.unusable', { file: path, ...errorFields(error) })
    return null
  }
}
