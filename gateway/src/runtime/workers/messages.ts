// What supervisor and workers say to each other. Both run the same release, so what one sends the other can read; what it
// carries is looked at where it is used.

/** What any worker may ask about all of them. */
export type Question = 'metrics' | 'status'

/** Where a worker that serves is reached: the same for all of them. */
export interface Served {
  /** Origins, without a path. */
  readonly dataUrl: string
  readonly adminUrl: string
  readonly dataDirectory: string
}

/** From a worker. */
export type WorkerMessage =
  | { readonly kind: 'ready'; readonly served: Served }
  /** It can't start: what to tell people, and what to exit with. */
  | { readonly kind: 'failed'; readonly message: string; readonly exitCode: number }
  | { readonly kind: 'question'; readonly id: number; readonly question: Question }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }

/** From the supervisor: a question about the worker itself, or the answer to one about all. */
export type SupervisorMessage =
  | { readonly kind: 'question'; readonly id: number; readonly question: Question }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }

/** What a worker sent; null where it is no message of ours. */
export function parseWorkerMessage(value: unknown): WorkerMessage | null {
  return isOneOf(value, ['ready', 'failed', 'question', 'answer']) ? (value as WorkerMessage) : null
}

/** What the supervisor sent; null where it is no message of ours. */
export function parseSupervisorMessage(value: unknown): SupervisorMessage | null {
  return isOneOf(value, ['question', 'answer']) ? (value as SupervisorMessage) : null
}

function isOneOf(value: unknown, kinds: readonly string[]): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value && kinds.includes(String(value.kind))
}
