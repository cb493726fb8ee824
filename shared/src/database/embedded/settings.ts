export interface SettingsOptions {
  readonly socketDirectory: string
  readonly maxConnections: number
}

/** Names the socket, `.s.PGSQL.5432`; nothing listens on the port. */
export const socketPort = 5432

/**
 * What the embedded server runs with, as arguments rather than in `postgresql.conf`: a new version
 * of Latchkey changes them for a directory that an older one made. Meanings: Postgres's manual,
 * chapter "Server Configuration". `fsync` and `synchronous_commit` stay on, as they are by default.
 */
export function serverSettings(options: SettingsOptions): Readonly<Record<string, string>> {
  return {
    listen_addresses: '',
    port: String(socketPort),
    // A list of paths, so a comma or a space in ours has to be quoted.
    unix_socket_directories: `"${options.socketDirectory.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    max_connections: String(options.maxConnections),
    superuser_reserved_connections: '0',

    // One small client that is always there: no parallel workers, replication or compiled queries.
    shared_buffers: '16MB',
    max_wal_size: '256MB',
    min_wal_size: '32MB',
    max_worker_processes: '0',
    max_parallel_workers: '0',
    max_logical_replication_workers: '0',
    max_wal_senders: '0',
    // A query over records locks the partition of each day, and its indexes.
    max_locks_per_transaction: '512',
    autovacuum_max_workers: '1',
    io_method: 'sync',
    jit: 'off',
    huge_pages: 'off',
    // In the data directory, where a killed server leaves nothing that its successor would not clear.
    dynamic_shared_memory_type: 'mmap',

    TimeZone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    log_destination: 'stderr',
    logging_collector: 'off',
    log_line_prefix: '%m [%p] ',
    log_checkpoints: 'off',
    // Its details quote values of the rows that are in conflict; those belong in no log.
    log_error_verbosity: 'terse',
    log_parameter_max_length: '0',
    log_parameter_max_length_on_error: '0',
  }
}
