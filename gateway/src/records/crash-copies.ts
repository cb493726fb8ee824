import type { RecordRow } from './record-row.ts'

/**
 * Copies of the records that wait in this process's memory, kept where other processes find them once this one is
 * dead. Nothing here waits, and nothing fails: a copy that can't be made is counted, and its record is as safe as it
 * would be without.
 */
export interface CrashCopies {
  /** Copies a record. `place` counts the records of this process, from 0. */
  add(place: number, row: RecordRow): void
  /** The records of the places before `place` are kept elsewhere by now. */
  dropBefore(place: number): void
}
