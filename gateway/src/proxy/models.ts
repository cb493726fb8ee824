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
  if (!matchesPattern(allowed, asked.model)) return refuse('model_not_allowed', { param: 'model' })
  for (const { model, param } of asked.others) {
    if (model === null || !matchesPattern(allowed, model)) return refuse('model_not_allowed', { param })
  }
  return null
}
