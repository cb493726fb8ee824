import { readFileSync } from 'node:fs'

/** What a process has in memory, in bytes, as the kernel tells it: proc_pid_status(5). Null where there is no such file. */
export function residentMemory(pid: number): number | null {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kibibytes === undefined ? null : Number(kibibytes) * 1024
  } catch {
    return null
  }
}
