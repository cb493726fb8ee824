import { z } from 'zod'

/** What `Profiler.stop` gives, as far as it is read here. Times in microseconds. */
export const cpuProfileShape = z.object({
  profile: z.object({
    nodes: z.array(
      z.object({ id: z.number(), callFrame: z.object({ functionName: z.string(), url: z.string() }) }),
    ),
    samples: z.array(z.number()),
    timeDeltas: z.array(z.number()),
  }),
})
export type CpuProfile = z.infer<typeof cpuProfileShape>

/** The time that was spent in the functions of one file themselves. */
export interface FileTime {
  /** Relative to the project; of a package, from its name on; what is no file, in brackets. */
  readonly file: string
  readonly microseconds: number
  /** Of its functions, the costliest first. */
  readonly functions: readonly { readonly name: string; readonly microseconds: number }[]
}

/** Sums a profile up by file, the costliest first. Time in which nothing ran is left out. */
export function timeByFile({ profile }: CpuProfile, root: string): readonly FileTime[] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const files = new Map<string, Map<string, number>>()
  profile.samples.forEach((sample, index) => {
    const frame = frames.get(sample)
    if (frame === undefined || frame.functionName === '(idle)') return
    const file = frame.url === '' ? frame.functionName || '(unknown)' : nameOf(frame.url, root)
    const functions = files.get(file) ?? new Map<string, number>()
    const name = frame.functionName || '(anonymous)'
    functions.set(name, (functions.get(name) ?? 0) + (profile.timeDeltas[index] ?? 0))
    files.set(file, functions)
  })
  return [...files]
    .map(([file, functions]) => ({
      file,
      microseconds: [...functions.values()].reduce((sum, time) => sum + time, 0),
      functions: [...functions]
        .map(([name, microseconds]) => ({ name, microseconds }))
        .sort((one, other) => other.microseconds - one.microseconds),
    }))
    .sort((one, other) => other.microseconds - one.microseconds)
}

/** Sums files up by where they belong: a folder of ours, a package, Node, the engine. The costliest first. */
export function timeByPart(
  files: readonly FileTime[],
): readonly (readonly [part: string, microseconds: number])[] {
  const parts = new Map<string, number>()
  for (const { file, microseconds } of files) {
    const part = partOf(file)
    parts.set(part, (parts.get(part) ?? 0) + microseconds)
  }
  return [...parts].sort(([, one], [, other]) => other - one)
}

function partOf(file: string): string {
  if (file.startsWith('node:')) return 'Node'
  const ours = /^(?:gateway\/src\/[^/]+|shared|vault|bench)/.exec(file)?.[0]
  if (ours !== undefined) return ours
  const inPackage = /^(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0]
  // What has no file is native, unless it is named as something else.
  return inPackage ?? (file.startsWith('(') ? file : 'native')
}

const packages = '/node_modules/'

function nameOf(url: string, root: string): string {
  const path = url.replace(/^file:\/\//, '')
  const inPackage = path.lastIndexOf(packages)
  if (inPackage !== -1) return path.slice(inPackage + packages.length)
  return path.startsWith(root) ? path.slice(root.length) : path
}
