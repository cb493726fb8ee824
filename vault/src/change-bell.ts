/**
 * A way beside NOTIFY by which processes tell each other to look now. It carries no trust and no news: whoever
 * hears it reads the counter, so a forged ring costs one statement, and a lost one costs time.
 */
export interface ChangeBell {
  /** Rings in every process that listens. Waits for nobody and never throws. */
  ring(): void
  /** Calls `heard` at every ring, and whenever rings may have been missed. Reconnects by itself. */
  subscribe(heard: () => void): { close(): Promise<void> }
}
