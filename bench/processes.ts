import { readdirSync, readFileSync } from 'node:fs'

/** What a process and all its descendants have used, and use now. */
export interface Usage {
  /** CPU time in milliseconds, in user and in kernel mode, of those that have ended as well. */
  readonly cpuMs: number
  /** The part of it that Postgres has used. */
  readonly databaseCpuMs: number
  /** Memory in bytes, shared pages divided among those who share them (PSS). */
  readonly memory: number
}

// USER_HZ, which Linux has fixed at 100 for programs (proc_pid_stat(5)).
const millisecondsPerTick = 10

/** The figures of the processes `roots` with everything that they have started. Throws where there is no `/proc`. */
export function usageOf(roots: readonly number[]): Usage {
  let ticks = 0
  let databaseTicks = 0
  let memory = 0
  for (const pid of processTree(roots)) {
    const stat = statOf(pid)
    if (stat === null) continue
    // Fields 14 to 17 of the line: its own time, and that of its children that it has waited for.
    const used = [12, 13, 14, 15].reduce((sum, index) => sum + Number(stat[index] ?? 0), 0)
    ticks += used
    if (stat[0] === 'postgres') databaseTicks += used
    memory += memoryOf(pid)
  }
  return { cpuMs: ticks * millisecondsPerTick, databaseCpuMs: databaseTicks * millisecondsPerTick, memory }
}

/** The processes `roots` and all their descendants that live. */
function processTree(roots: readonly number[]): ReadonlySet<number> {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const parent = Number.isInteger(pid) ? Number(statOf(pid)?.[2]) : Number.NaN
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const tree = new Set(roots)
  // A set goes on with what is added to it meanwhile.
  for (const pid of tree) for (const child of children.get(pid) ?? []) tree.add(child)
  return tree
}

/** The fields of `/proc/<pid>/stat` from the name on, which may hold anything; null: it has gone. */
function statOf(pid: number): readonly string[] | null {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === null) return null
  const end = stat.lastIndexOf(') ')
  return [stat.slice(stat.indexOf('(') + 1, end), ...stat.slice(end + 2).split(' ')]
}

function memoryOf(pid: number): number {
  const kibibytes = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1]
  return Number(kibibytes ?? 0) * 1024
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
