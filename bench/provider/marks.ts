/** When an event was sent, written into its text: digits between two signs that stand nowhere else in an answer. */
const digits = 16
const sign = 0x40

/** The moment of now, on the clock that all processes of a machine share. */
export function markNow(): string {
  return `@${String(process.hrtime.bigint() / 1000n).padStart(digits, '0')}@`
}

/** Calls `found` with the age, in microseconds, of every mark in a chunk. One that is cut in two is passed over. */
export function eachAge(chunk: Buffer, found: (age: number) => void): void {
  const now = Number(process.hrtime.bigint() / 1000n)
  for (let at = chunk.indexOf(sign); at !== -1; at = chunk.indexOf(sign, at + digits + 2)) {
    if (chunk[at + digits + 1] !== sign) return
    found(now - Number(chunk.toString('latin1', at + 1, at + 1 + digits)))
  }
}
