import type { Cores } from '../cores.ts'

/** Something that is measured, as it is reached. */
export interface Target {
  readonly name: string
  /** Of the chat completions. */
  readonly url: string
  /** What a request carries beside the usual: its key, and what this gateway asks for. */
  readonly headers: Readonly<Record<string, string>>
  /** Makes keys that are as good as the one in `headers`; null where the gateway has none. */
  readonly makeKeys: ((count: number) => Promise<readonly string[]>) | null
  /** The roots of its processes, its database's too. Targets may be ways to use one gateway. */
  readonly pids: readonly number[]
  /** The name of a model, where the gateway wants another one than the provider. */
  readonly model: string | null
  /** What of keys and budgets is on, for the report. */
  readonly note: string
}

/** What has been started. */
export interface Started {
  readonly targets: readonly Target[]
  stop(): Promise<void>
}

/** What a start needs to know. */
export interface Surroundings {
  /** A temporary directory of its own. */
  readonly directory: string
  readonly cores: Cores
  /** Where the provider listens on the loopback interface. */
  readonly providerPort: number
  /** What those of ours that run on Node get as `NODE_OPTIONS`; '' for none. */
  readonly nodeOptions: string
}

/** How one gateway is started, with its targets' names. */
export interface Contender {
  readonly names: readonly string[]
  /** Throws, with a reason for people, where it can't be installed or started here. */
  start(surroundings: Surroundings): Promise<Started>
}

export const providerSecret = 'sk-bench-0123456789abcdefghijklmnopqrstuv'
