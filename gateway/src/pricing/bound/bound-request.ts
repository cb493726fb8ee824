import type { BoundTerms, PricedAsk } from './ask.ts'
import { type Bound, free } from './bound.ts'
import { boundChat } from './chat.ts'
import { boundCompletions } from './completions.ts'
import { boundEmbeddings } from './embeddings.ts'
import { boundImageEdit, boundImageGeneration } from './images.ts'
import { boundCompaction, boundResponses } from './responses.ts'
import { boundSpeech } from './speech.ts'
import { boundTranscription } from './transcriptions.ts'

type BoundEndpoint = (ask: PricedAsk, terms: BoundTerms) => Bound

/** Moderation is free at OpenAI; elsewhere it has a price like any other model, or none that we know. */
const boundModeration: BoundEndpoint = (ask, terms) =>
  terms.prices.isOpenai(ask.provider) ? free : boundEmbeddings(ask, terms)

const byEndpoint: ReadonlyMap<string, BoundEndpoint> = new Map([
  ['/v1/chat/completions', boundChat],
  ['/v1/completions', boundCompletions],
  ['/v1/responses', boundResponses],
  ['/v1/responses/compact', boundCompaction],
  ['/v1/embeddings', boundEmbeddings],
  ['/v1/images/generations', boundImageGeneration],
  ['/v1/images/edits', boundImageEdit],
  ['/v1/images/variations', boundImageEdit],
  ['/v1/audio/speech', boundSpeech],
  ['/v1/audio/transcriptions', boundTranscription],
  ['/v1/audio/translations', boundTranscription],
  ['/v1/moderations', boundModeration],
])

/** Endpoints whose bound rests on no long text of a form, and needs no cap to be set in it. */
const takesForms: ReadonlySet<string> = new Set([
  ...['/v1/images/edits', '/v1/images/variations', '/v1/audio/transcriptions', '/v1/audio/translations'],
])

/** Looking at things, and throwing them away, costs nothing. */
const freeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

/** Counting tokens, and keeping files, stand on no price list. Source: https://developers.openai.com/api/docs/pricing */
const freePosts: ReadonlySet<string> = new Set(['/v1/responses/input_tokens', '/v1/files'])

/**
 * The most that `ask` can cost, rounded up to a nano-dollar, by the prices of its start: what must be held
 * before it is sent. Refused where nothing bounds it: an unknown model, a tool that the provider runs, an
 * endpoint (batches, realtime, fine-tuning) that costs later or elsewhere. A provider that honours the
 * request can't bill more.
 */
export function boundRequest(ask: PricedAsk, terms: BoundTerms): Bound {
  if (ask.method !== 'POST') return freeMethods.has(ask.method) ? free : unbounded
  const bound = byEndpoint.get(ask.endpoint)
  if (ask.isForm === true && !takesForms.has(ask.endpoint)) return noForm
  if (bound !== undefined) return bound(ask, terms)
  return freePosts.has(ask.endpoint) && terms.prices.isOpenai(ask.provider) ? free : unbounded
}

const unbounded: Bound = Object.freeze({
  kind: 'refused',
  code: 'unsupported_parameter',
  param: null,
  message: 'What this endpoint can cost has no bound, so an API key with a budget may not call it.',
})

const noForm: Bound = Object.freeze({
  kind: 'refused',
  code: 'unsupported_parameter',
  param: null,
  message: 'An API key with a budget may call this endpoint with application/json only.',
})

/**
 * The members of a body on which a bound rests. A request that holds one of them twice must be refused: the
 * provider might read the other one.
 */
export const fieldsOfBound = [
  ...['model', 'messages', 'input', 'prompt', 'tools', 'n', 'best_of', 'modalities', 'quality', 'size'],
  ...['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'partial_images', 'service_tier'],
  ...['prompt_cache_options', 'prompt_cache_retention', 'previous_response_id', 'conversation'],
  ...['background', 'reasoning', 'prediction', 'context_management', 'access_programs', 'models', 'plugins'],
  ...['web_search_options', 'search_parameters', 'instructions'],
] as const
