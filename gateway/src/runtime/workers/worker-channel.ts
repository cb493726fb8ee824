import type { Worker } from 'node:cluster'
import { type StatusWire, statusWire } from '@latchkey/shared'
import { parseSupervisorMessage, type Question, type Served, type WorkerMessage } from './messages.ts'
import type { Self, Siblings } from './siblings.ts'
import { Survey } from './survey.ts'

// The supervisor waits for the workers for a second.
const answerWithinMs = 2_000

/** A worker's end of the way to its supervisor. */
export class WorkerChannel implements Siblings {
  /** From 1 on. Whoever takes the place of a worker that died has its number. */
  readonly number: number
  readonly #worker: Worker
  readonly #questions = new Survey<WorkerChannel>(answerWithinMs)
  #self: Self | null = null

  constructor(worker: Worker, number: number) {
    this.#worker = worker
    this.number = number
    worker.on('message', (value: unknown) => {
      const message = parseSupervisorMessage(value)
      if (message?.kind === 'answer') this.#questions.answered(this, message.id, message.answer)
      if (message?.kind === 'question') this.#tell(message.id, message.question)
    })
  }

  /** Calls `end` when the supervisor has died, so that nobody serves on without one. */
  onSupervisorGone(end: () => void): void {
    this.#worker.once('disconnect', () => {
      // Or `node:cluster` would end the process here and now, and the running requests with it.
      this.#worker.exitedAfterDisconnect = true
      end()
    })
  }

  ready(served: Served): void {
    this.#send({ kind: 'ready', served })
  }

  /** Resolves once it is on its way. */
  failed(message: string, exitCode: number): Promise<void> {
    const told: WorkerMessage = { kind: 'failed', message, exitCode }
    return new Promise((resolve) => {
      if (this.#worker.isConnected()) this.#worker.send(told, () => resolve())
      else resolve()
    })
  }

  join(self: Self): void {
    this.#self = self
  }

  async metricsPage(): Promise<string | null> {
    const page = await this.#ask('metrics')
    return typeof page === 'string' ? page : null
  }

  async list(): Promise<StatusWire['workers']> {
    const listed = statusWire.shape.workers.safeParse(await this.#ask('status'))
    return listed.success ? listed.data : null
  }

  async #ask(question: Question): Promise<unknown> {
    const answers = await this.#questions.ask(
      new Map([[this, (id: number) => this.#send({ kind: 'question', id, question })]]),
    )
    return answers.get(this) ?? null
  }

  #tell(id: number, question: Question): void {
    const answer = this.#self?.[question]() ?? null
    this.#send({ kind: 'answer', id, answer })
  }

  #send(message: WorkerMessage): boolean {
    if (!this.#worker.isConnected()) return false
    // A supervisor that dies at this moment is noticed by its end.
    this.#worker.send(message, () => {})
    return true
  }
}
