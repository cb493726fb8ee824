import { readFileSync } from 'node:fs'

// USER_HZ, which Linux has fixed at 100 for programs (proc_pid_stat(5)).
const millisecondsPerTick = 10

/** The CPU time that a process and its threads have used, in milliseconds; null where there is no `/proc`. */
export function processCpu(pid: number): number | null {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null
  }
  // After the name, which may hold anything: fields 14 and 15 of the line, in user and in kernel mode.
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * millisecondsPerTick
}
