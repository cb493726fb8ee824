import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lchownSync,
  readdirSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { LatchkeyError } from '../../errors.ts'
import type { PostgresBinaries } from './binaries.ts'
import type { Layout } from './layout.ts'

/** The unprivileged user that Postgres runs as where the gateway is root: Postgres refuses root. */
export interface ServerUser {
  readonly uid: number
  readonly gid: number
}

const fallbackNames = ['postgres', '_postgres', 'nobody']

/**
 * Who Postgres runs as: null for the gateway's own user; for a gateway that is root, the owner of
 * what is there already, else the machine's `postgres`, else `nobody`. Throws `postgres_failed`
 * where none of them exists.
 */
export function chooseServerUser(layout: Layout): ServerUser | null {
  if (process.getuid?.() !== 0) return null
  const clusterOwner = statSync(layout.cluster, { throwIfNoEntry: false })
  if (clusterOwner !== undefined && clusterOwner.uid !== 0)
    return { uid: clusterOwner.uid, gid: clusterOwner.gid }

  const accounts = readAccounts()
  // initdb asks for its user's name, so an owner without one (a volume of the host's) is of no use.
  const owner = statSync(layout.directory)
  if (owner.uid !== 0 && accounts.some((account) => account.uid === owner.uid))
    return { uid: owner.uid, gid: owner.gid }
  for (const name of fallbackNames) {
    const account = accounts.find((candidate) => candidate.name === name)
    if (account !== undefined) return { uid: account.uid, gid: account.gid }
  }
  throw new LatchkeyError('postgres_failed', {
    message:
      'Postgres does not run as root, and this machine has neither a user "postgres" nor "nobody". Start the gateway as an ordinary user.',
  })
}

/**
 * Lets `user` into the data directory, through its group and no further, and gives it the
 * cluster. The directory itself stays root's: whoever breaks out of Postgres can't replace the
 * vault's root key, which lies beside the cluster. Throws `directory_unreachable`, naming the
 * directory, where `user` can't reach the data directory or the programs.
 */
export function admitServerUser(user: ServerUser, layout: Layout, binaries: PostgresBinaries): void {
  for (const directory of [dirname(layout.directory), ...binaries.directories])
    requirePath(user, directory, layout)

  const stats = statSync(layout.directory)
  if (!allows(stats, user)) {
    chownSync(layout.directory, stats.uid, user.gid)
    chmodSync(layout.directory, (stats.mode & 0o7777) | 0o010)
  }
  // Only root's own are taken over: such a cluster was copied here, by a restore for example.
  if (statSync(layout.cluster, { throwIfNoEntry: false })?.uid === 0) {
    giveTree(layout.cluster, user)
    chmodSync(layout.cluster, 0o700)
  }
}

function requirePath(user: ServerUser, path: string, layout: Layout): void {
  for (const directory of ancestors(realpathSync(path))) {
    if (allows(statSync(directory), user) || enters(user, directory)) continue
    const remedy = layout.directory.startsWith(join(directory, '/'))
      ? 'set LATCHKEY_DATA_DIR to a directory elsewhere'
      : 'install Latchkey elsewhere'
    throw new LatchkeyError('directory_unreachable', {
      message: `Postgres does not run as root, so it runs as uid ${user.uid}, and that user cannot enter ${directory}. Either ${remedy}, or start the gateway as an ordinary user, or run: chmod o+x ${directory}`,
      details: { path: directory, uid: user.uid },
    })
  }
}

/** `/`, then each directory down to and including `path`. */
function ancestors(path: string): readonly string[] {
  const parent = dirname(path)
  return parent === path ? [path] : [...ancestors(parent), path]
}

/** Whether the mode bits let `user` pass through the directory. */
function allows(stats: Stats, user: ServerUser): boolean {
  if (stats.uid === user.uid) return (stats.mode & 0o100) !== 0
  if (stats.gid === user.gid) return (stats.mode & 0o010) !== 0
  return (stats.mode & 0o001) !== 0
}

/** Tries it, since an access control list may allow what the mode bits don't. */
function enters(user: ServerUser, directory: string): boolean {
  const attempt = spawnSync('/bin/sh', ['-c', 'cd "$0"', directory], {
    ...user,
    cwd: '/',
    env: {},
    stdio: 'ignore',
  })
  return attempt.status === 0
}

function giveTree(path: string, user: ServerUser): void {
  lchownSync(path, user.uid, user.gid)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) giveTree(child, user)
    else lchownSync(child, user.uid, user.gid)
  }
}

interface Account extends ServerUser {
  readonly name: string
}

function readAccounts(): readonly Account[] {
  let text: string
  try {
    text = readFileSync('/etc/passwd', 'utf8')
  } catch {
    return []
  }
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = ''] = line.split(':')
    // macOS writes nobody's ids as -2.
    const account = { name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }
    return name !== '' && uid !== '' && account.uid !== 0 ? [account] : []
  })
}
