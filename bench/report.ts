import { goalsOf, ratio } from './goals.ts'
import type { Results, TargetResults, WorkloadResults } from './results.ts'

/** A run as Markdown: how it was made, what it shows of the goals, and a table for each workload. */
export function markdownOf(results: Results): string {
  return [
    circumstances(results),
    goals(results),
    ...results.workloads.map((workload) => `### ${workload.title}\n\n${workloadTable(workload)}`),
    atRest(results),
    targets(results),
  ].join('\n\n')
}

function circumstances({ startedAt, command, machine, rounds, seconds }: Results): string {
  const { processor, cores, memoryGib, system, node, pinned } = machine
  return (
    `\`${command}\`, ${startedAt.slice(0, 10)}: ${processor}, ${cores} cores, ${memoryGib} GiB, ${system}, ` +
    `Node ${node}; ${pinned}. Medians of ${rounds} interleaved ${rounds === 1 ? 'round' : 'rounds'} of ${seconds} s; ` +
    'CPU and memory are those of a gateway with its database.'
  )
}

function goals(results: Results): string {
  const rows = goalsOf(results).map(({ figure, must, hoped, value, met }) => [
    figure,
    must,
    hoped,
    value === null ? 'not measured' : value.toFixed(2),
    met === null ? '' : met ? 'yes' : 'no',
  ])
  return table(['goal', 'must', 'hoped for', 'measured', 'met'], rows)
}

function workloadTable(workload: WorkloadResults): string {
  const [units, each] = workload.kind === 'streams' ? ['events/s', 'event'] : ['requests/s', 'request']
  const base = workload.targets.find(({ name }) => name === 'bare' || name.endsWith(', 1 key'))
  return table(
    [
      'target',
      units,
      'p50 ms',
      'p99 ms',
      `CPU µs/${each}`,
      'of which database',
      `x ${base?.name ?? 'bare'}`,
      'MiB',
      'failed',
    ],
    workload.targets.map((target) => row(target, base)),
  )
}

function row(target: TargetResults, base: TargetResults | undefined): readonly string[] {
  const { unitsPerSecond, p50, p99, cpu, databaseCpu, memory, failed } = target.median
  return [
    target.name,
    Math.round(unitsPerSecond).toString(),
    (p50 / 1000).toFixed(2),
    (p99 / 1000).toFixed(2),
    cpu === null ? '' : cpu.toFixed(1),
    databaseCpu === null || databaseCpu === 0 ? '' : databaseCpu.toFixed(1),
    ratio(target, base, (round) => round.cpu)?.toFixed(2) ?? '',
    memory === null ? '' : mebibytes(memory),
    String(failed),
  ]
}

function atRest({ atRest: rows }: Results): string {
  return `### Memory at rest\n\n${table(
    ['target', 'MiB'],
    rows.map(({ target, memory }) => [target, mebibytes(memory)]),
  )}`
}

function targets({ targets: measured, missing }: Results): string {
  const rows = [
    ...measured.map(({ name, note }) => [name, note]),
    ...missing.map(({ names, reason }) => [names.join(', '), `not measured: ${oneLine(reason)}`]),
  ]
  return `### Targets\n\n${table(['target', 'set up with'], rows)}`
}

function mebibytes(bytes: number): string {
  return String(Math.round(bytes / 2 ** 20))
}

/** For a cell of a table, without the addresses of whoever's registry it was. */
function oneLine(text: string): string {
  return text
    .replaceAll(/\bhttps?:\/\/\S+/g, '…')
    .replaceAll(/\s+/g, ' ')
    .replaceAll('|', '\\|')
    .slice(0, 300)
}

/** A Markdown table whose first column is text and whose others are what they are. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}
