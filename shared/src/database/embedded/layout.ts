import { join } from 'node:path'

/** Where the embedded Postgres keeps its things in the data directory. */
export interface Layout {
  /** The data directory itself: absolute, without symbolic links. */
  readonly directory: string
  /** Postgres's own directory (PGDATA). It exists only once initdb has finished. */
  readonly cluster: string
  /** What an unfinished initdb is named, before six random characters. */
  readonly unfinishedPrefix: string
  /** Where the socket is, unless its path would be too long. */
  readonly socketDirectory: string
  /** What Postgres prints. */
  readonly serverLog: string
}

export function layoutOf(directory: string): Layout {
  return {
    directory,
    cluster: join(directory, 'postgres'),
    unfinishedPrefix: 'postgres.new-',
    socketDirectory: join(directory, 'run'),
    serverLog: join(directory, 'postgres.log'),
  }
}
