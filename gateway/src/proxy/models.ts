import type { Policy } from '@latchkey/vault'
import type { ModelsAsked } from '../providers/provider.ts'
import { matchesPattern } from './patterns.ts'
import { type Refusal, refuse } from './refusal.ts'

/** Checks every model that a body asks for against the policy; null where all are allowed. */
export function modelsRefusal(policy: Policy, asked: ModelsAsked): Refusal | null {
  const allowed = policy.models
  if (allowed === null) return null
  if (asked.hiddenIn !== null) {
    return refuse('model_not_allowed', {
      param: asked.hiddenIn,
      message:
        'This API key is limited to certain models, and what is stored elsewhere could choose another.',
    })
  }
  if (asked.model === null) {
    return refuse('model_not_allowed', {
      param: 'model',
      message: 'This API key is limited to certain models: name one of them in "model".',
    })
  }
  if (!allowsModel(allowed, asked.model)) return refuse('model_not_allowed', { param: 'model' })
  for (const { model, param } of asked.others) {
    if (model === null || !allowsModel(allowed, model)) return refuse('model_not_allowed', { param })
  }
  return null
}

/**
 * Whether `name` is one of the allowed models. A pattern must not let through what a lenient server cuts off, trims
 * or splits into several names: white space, control and invisible characters, commas.
 */
export function allowsModel(allowed: readonly string[], name: string): boolean {
  return matchesPattern(allowed, name) && !/[\s,\p{C}]/u.test(name)
}
