/** One instruction of a Dockerfile, its continuation lines joined. */
export interface Instruction {
  /** Like `COPY`. */
  readonly name: string
  /** What stands after it, flags and all. */
  readonly text: string
}

/** What stands after one `FROM`, up to the next. */
export interface Stage {
  readonly base: string
  /** The name after `AS`; null: it is the last one, or needs none. */
  readonly name: string | null
  readonly instructions: readonly Instruction[]
}

/** Reads the part of the format that ours uses (https://docs.docker.com/reference/dockerfile/). */
export function parseDockerfile(text: string): readonly Stage[] {
  const joined = text.replace(/^\s*#.*\n/gm, '').replace(/\\\n/g, ' ')
  const stages: { base: string; name: string | null; instructions: Instruction[] }[] = []
  const defaults = new Map<string, string>()
  for (const line of joined.split('\n').filter((each) => each.trim() !== '')) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === '') throw new Error(`not an instruction: ${line}`)
    const stage = stages.at(-1)
    if (name === 'FROM') {
      const [base = '', as, called = null] = rest.split(/\s+/)
      if (as !== undefined && as !== 'AS') throw new Error(`not a FROM: ${line}`)
      stages.push({
        base: base.replace(/\$\{(\w+)\}/g, (_, variable) => defaults.get(variable) ?? ''),
        name: called,
        instructions: [],
      })
    } else if (stage !== undefined) stage.instructions.push({ name, text: rest })
    else if (name === 'ARG') {
      const [variable = '', value = ''] = rest.split('=')
      defaults.set(variable, value)
    } else throw new Error(`before any FROM: ${line}`)
  }
  return stages
}

/** The texts of a stage's instructions of that name. */
export function textsOf({ instructions }: Stage, name: string): readonly string[] {
  return instructions.filter((each) => each.name === name).map(({ text }) => text)
}

/** What a `COPY` copies: from another stage or, with null, from the directory that is built. */
export function parseCopy(text: string) {
  const words = text.split(/\s+/)
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length) ?? null
  const paths = words.filter((word) => !word.startsWith('--'))
  return { from, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' }
}

/** The variables of `ENV a=b c=d`. */
export function environmentOf(stage: Stage): Readonly<Record<string, string>> {
  const pairs = textsOf(stage, 'ENV').flatMap((text) => text.trim().split(/\s+/))
  return Object.fromEntries(
    pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  )
}

/** A command in the form of a JSON list, which no shell reads. */
export function execForm(text: string): readonly string[] {
  const list: unknown = JSON.parse(text.slice(text.indexOf('[')))
  if (!Array.isArray(list)) throw new Error(`no list: ${text}`)
  return list.map(String)
}
