import type { AttemptEnd } from './attempt-end.ts'
import type { Candidate } from './authorize.ts'
import { type Refusal, refuse } from './refusal.ts'
import type { Funding, Spending } from './spending.ts'
import { type Form, type Upload, UploadRefused } from './upload.ts'

/**
 * The money of an attempt whose body is a form. What it asks for is known at its end, so it is held for then: the
 * closing boundary is withheld meanwhile, and without that the provider has no request to bill.
 */
export class FormFunding implements Funding {
  readonly kind = 'funded'
  readonly cap = null
  readonly headers: readonly string[] = []
  readonly #spending: Spending
  readonly #candidate: Candidate
  readonly #leaving: () => AbortSignal
  #funding: Funding | null = null
  #over = false

  constructor(spending: Spending, candidate: Candidate, upload: Upload, leaving: () => AbortSignal) {
    this.#spending = spending
    this.#candidate = candidate
    this.#leaving = leaving
    upload.beforeEnd = (form) => this.#fund(form)
  }

  end(end: AttemptEnd | null): void {
    this.#over = true
    const complete = end !== null && !(end.kind === 'failed' && end.error instanceof UploadRefused)
    this.#funding?.end(complete ? end : null)
  }

  async #fund({ fields, fieldBytes }: Form): Promise<Refusal | null> {
    this.#spending.readForm(fields, fieldBytes)
    const funding = await this.#spending.fund(this.#candidate, this.#leaving)
    if (funding?.kind !== 'funded') return funding ?? refuse('request_timeout')
    if (this.#over) {
      funding.end(null)
      return refuse('request_timeout')
    }
    this.#funding = funding
    return null
  }
}
