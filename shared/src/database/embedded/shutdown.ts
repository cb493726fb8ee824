/** One way to ask Postgres to stop, and how long it may take before the next, ruder one. */
export interface ShutdownStep {
  readonly signal: NodeJS.Signals
  readonly waitMs: number
}

/**
 * From kind to unkind: "fast" (ends sessions, writes a checkpoint), "immediate" (recovers at the next
 * start; nothing that was committed is lost), and the kernel's. Postgres's manual, "Shutting Down
 * the Server".
 */
export const shutdownSteps: readonly ShutdownStep[] = [
  { signal: 'SIGINT', waitMs: 10_000 },
  { signal: 'SIGQUIT', waitMs: 5_000 },
  { signal: 'SIGKILL', waitMs: 5_000 },
]
