import { join } from 'node:path'
import { freePort } from '../tests/support/free-port.ts'
import { warmUp } from './compare.ts'
import { cpuProfileShape, type FileTime, timeByFile, timeByPart } from './cpu-profile.ts'
import { connectInspector } from './inspector.ts'
import { measure } from './measure.ts'
import type { Options } from './options.ts'
import { table } from './report.ts'
import { withScene } from './scene.ts'
import { workloads } from './workloads.ts'

const samplingMicroseconds = 100
const shownFiles = 45
const shownFunctions = 4

/** Where the CPU time of the first of the targets goes, by file, for each of the workloads. The profiler itself takes its part. */
export async function profile(options: Options, say: (line: string) => void): Promise<string> {
  const name = options.targets.has('latchkey') ? 'latchkey' : [...options.targets][0]
  const port = await freePort()
  const nodeOptions = `--inspect=127.0.0.1:${port}`
  const scene = { targets: new Set(name === undefined ? [] : [name]), nodeOptions, say }
  return withScene(scene, async ({ instruments, targets: [target] }) => {
    if (target === undefined) throw new Error(`${name} does not run here`)
    const contestant = { ...target, keys: null }
    const inspector = await connectInspector(port)
    await inspector.call('Profiler.enable')
    await inspector.call('Profiler.setSamplingInterval', { interval: samplingMicroseconds })
    const reports: string[] = []
    for (const workload of workloads.filter((one) => options.workloads.has(one.name))) {
      await warmUp(instruments, workload, contestant, options.warmSeconds)
      await inspector.call('Profiler.start')
      const measured = await measure(instruments, workload, contestant, options.seconds)
      const stopped = cpuProfileShape.parse(await inspector.call('Profiler.stop'))
      const units = measured.unitsPerSecond * options.seconds
      const files = timeByFile(stopped, join(import.meta.dirname, '../'))
      reports.push(
        `${workload.title}: ${target.name}, ${Math.round(units)} of them\n\n${profileTable(files, units)}`,
      )
    }
    inspector.close()
    return reports.join('\n\n')
  })
}

function profileTable(files: readonly FileTime[], units: number): string {
  const total = files.reduce((sum, { microseconds }) => sum + microseconds, 0)
  const rows = files.slice(0, shownFiles).map(({ file, microseconds, functions }) => [
    file,
    (microseconds / units).toFixed(2),
    `${((100 * microseconds) / total).toFixed(1)} %`,
    functions
      .slice(0, shownFunctions)
      .map((one) => `${one.name} ${(one.microseconds / units).toFixed(2)}`)
      .join(', '),
  ])
  rows.push(['all', (total / units).toFixed(2), '100 %', ''])
  const parts = timeByPart(files).map(([part, microseconds]) => [
    part,
    (microseconds / units).toFixed(2),
    `${((100 * microseconds) / total).toFixed(1)} %`,
  ])
  return `${table(['part', 'µs each', 'share'], parts)}\n\n${table(['file', 'µs each', 'share', 'of which'], rows)}`
}
