// Proves that nothing leaks: `npm run soak [-- <minutes>]`, ten minutes by default. Fails where something is kept.
import { type Kept, soak } from './soak.ts'

const minutes = Number(process.argv[2] ?? 10)
if (!(minutes > 0)) throw new Error('npm run soak -- <minutes>')

const { before, after, sent, failed, leaks } = await soak(minutes * 60_000, (line) => print(line))
print(`before: ${describe(before)}`)
print(`after:  ${describe(after)}`)
print(`${sent} requests, ${failed} failed`)
for (const leak of leaks) print(`kept: ${leak}`)
process.exitCode = leaks.length === 0 && failed === 0 ? 0 : 1

function describe({ heap, buffers, sockets, timers, held }: Kept): string {
  const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  return `heap ${mebibytes(heap)} MiB, buffers ${mebibytes(buffers)} MiB, ${sockets} sockets, ${timers} timers, $${held} held`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
