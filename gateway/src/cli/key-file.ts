import { closeSync, fsyncSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { errorCode, type MintedProxyKeyWire } from '@latchkey/shared'
import { stringify } from 'csv-stringify/sync'
import { CommandFailure, exitCode } from './exit-code.ts'

/** A file that keys are about to be written to. */
export interface KeyFile {
  /** Writes the keys, and has the disk keep them. Throws `CommandFailure`. */
  write(keys: readonly MintedProxyKeyWire[]): void
  /** Takes the empty file away again. */
  discard(): void
}

/**
 * Makes a file for keys, readable by nobody else: before they are made, so that none is lost for want of a place.
 * Throws `CommandFailure`, also where there is such a file already.
 */
export function openKeyFile(file: string): KeyFile {
  let descriptor: number
  try {
    descriptor = openSync(file, 'wx', 0o600)
  } catch (error) {
    const exists = errorCode(error) === 'EEXIST'
    throw new CommandFailure(
      exitCode.failure,
      exists
        ? `${file} is there already, and is not overwritten. Move it, or name another with --out.`
        : `${file} cannot be written.`,
      error,
    )
  }
  return {
    write(keys) {
      try {
        writeFileSync(descriptor, keysAsCsv(keys))
        fsyncSync(descriptor)
        closeSync(descriptor)
      } catch (error) {
        throw new CommandFailure(
          exitCode.failure,
          `The keys were made, but ${file} could not be written: they are lost. Revoke them, and make new ones.`,
          error,
        )
      }
    },
    discard() {
      closeSync(descriptor)
      rmSync(file, { force: true })
    },
  }
}

/**
 * Keys as CSV with a header: `name`, `email`, `id`, `key`. A name that a spreadsheet would take for a formula
 * (it begins with `=`, `+`, `-` or `@`) gets an apostrophe before it: names come from whoever filled in a form.
 */
export function keysAsCsv(keys: readonly MintedProxyKeyWire[]): string {
  return stringify(
    keys.map(({ name, email, id, key }) => [name, email ?? '', id, key]),
    { header: true, columns: ['name', 'email', 'id', 'key'], escape_formulas: true },
  )
}
