import { accessSync, constants, existsSync, type Stats, statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Finding, fail, ok, warn } from './finding.ts'

const littleBytes = 2 ** 30
const tooLittleBytes = 100 * 2 ** 20
const others = 0o066

/** The data directory, or, before the first start, the place where it will be made. */
export function checkDataDirectory(directory: string): readonly Finding[] {
  const stats = statSync(directory, { throwIfNoEntry: false })
  if (stats === undefined) return [checkParent(directory)]
  return [checkAccess(directory, stats), checkSpace(directory)]
}

function checkParent(directory: string): Finding {
  const parent = nearestExisting(dirname(resolve(directory)))
  return isUsable(parent)
    ? ok('data directory', `${directory} will be made at the first start`)
    : fail(
        'data directory',
        `${directory} can't be made: this user can't write to ${parent}`,
        'Set LATCHKEY_DATA_DIR to a directory that it can write to.',
      )
}

function checkAccess(directory: string, stats: Stats): Finding {
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  if (!stats.isDirectory()) {
    return fail('data directory', `${directory} is no directory`, 'Set LATCHKEY_DATA_DIR to another path.')
  }
  if (!isUsable(directory)) {
    return fail(
      'data directory',
      `this user can't write to ${directory} (mode ${mode}, owner ${stats.uid})`,
      'Run the gateway as its owner, or set LATCHKEY_DATA_DIR.',
    )
  }
  if ((stats.mode & others) !== 0) {
    return warn(
      'data directory',
      `other users can look into ${directory} (mode ${mode})`,
      `Run: chmod 700 ${directory}`,
    )
  }
  if (process.getuid !== undefined && stats.uid !== process.getuid()) {
    return warn(
      'data directory',
      `${directory} belongs to user ${stats.uid}, and this is user ${process.getuid()}`,
      'Run the gateway and this command as the same user.',
    )
  }
  return ok('data directory', `${directory} (mode ${mode})`)
}

function checkSpace(directory: string): Finding {
  const { bavail, bsize } = statfsSync(directory)
  const free = bavail * bsize
  const detail = `${(free / 2 ** 30).toFixed(1)} GiB free`
  const advice = 'Free some, or move the data directory: nothing is served that cannot be recorded.'
  if (free < tooLittleBytes) return fail('disk', detail, advice)
  return free < littleBytes ? warn('disk', detail, advice) : ok('disk', detail)
}

function isUsable(directory: string): boolean {
  try {
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path))
}
