import type { ProviderName, Secret } from '@latchkey/shared'
import type { Consumption } from '../pricing/consumption.ts'

/** How the tokens of one answer were counted by the provider. Null: the provider did not say. */
export interface Usage {
  /** All input tokens, cached and audio ones included. */
  readonly inputTokens: number | null
  readonly cachedInputTokens: number | null
  /** All output tokens, reasoning and audio ones included. */
  readonly outputTokens: number | null
  readonly reasoningTokens: number | null
  readonly inputAudioTokens: number | null
  readonly outputAudioTokens: number | null
}

/** What was read of an answer beside its bytes. */
export interface Reading {
  readonly usage: Usage
  /** The model that the provider says answered. */
  readonly model: string | null
  /** What was used of what costs money; null where the provider counts nothing. */
  readonly consumption: Consumption | null
}

/** The members of a JSON answer that its reader looks at. Of an answer too large to keep, the rest goes by unseen. */
export interface AnswerMembers {
  /** Those that are read. One of more than 8 MiB is taken for null. */
  readonly read: ReadonlySet<string>
  /** Those of which it matters only that they are there, as null. */
  readonly noticed: ReadonlySet<string>
}

/** Where a request to an endpoint says which model it wants. */
export type ModelPlace = 'body' | 'path' | 'none'

/** What is known of one endpoint of a provider. */
export interface Endpoint {
  readonly model: ModelPlace
  /** Whether a successful answer tells its usage: in every form, in some forms only (speech as events), or never. */
  readonly tellsUsage: 'always' | 'sometimes' | 'never'
  /** Whether `stream_options.include_usage` makes a stream tell its usage. */
  readonly asksForUsage: boolean
  /** Whether the answer lists models, so that a key with a model list is shown only its own. */
  readonly listsModels: boolean
}

/** A model beside the one that answers, by where the request names it; null for what is no name. */
export interface OtherModel {
  readonly model: string | null
  readonly param: string
}

/** Which models a request body asks for. */
export interface ModelsAsked {
  /** The model that answers; null where the body names none. */
  readonly model: string | null
  /** Models that tools of the request may call, or that it falls back to. */
  readonly others: Iterable<OtherModel>
  /** The field by which the provider would pick a model that the body does not show; null: none. */
  readonly hiddenIn: string | null
}

/** An LLM API that we can talk to. */
export interface Provider {
  readonly name: ProviderName
  /** With its version path; null where every provider key must name its own. */
  readonly defaultBaseUrl: string | null
  /** The header that carries the provider key. The one line in which it leaves the vault. */
  credentialHeader(secret: Secret): readonly [name: string, value: string]
  /** What is known of `method` on `endpoint` (from `/v1` on); null for one that we only pass through. */
  endpoint(method: string, endpoint: string): Endpoint | null
  /** The models that a parsed request body asks for, and whether it leaves the choice to something stored. */
  modelsAsked(body: Readonly<Record<string, unknown>>): ModelsAsked
  /** Whether a client's header may travel upstream, beside those that every provider gets. */
  allowsRequestHeader(lowerCaseName: string): boolean
  /** Reads one JSON answer, or one event of a stream, already parsed. Null where it tells no usage. */
  read(value: unknown): Reading | null
  readonly answerMembers: AnswerMembers
  /** The body of an error in the provider's wire shape. */
  errorBody(error: WireError): string
  /** The bytes that tell a client of a stream on `endpoint` that it broke. */
  streamError(endpoint: string, error: WireError): string
}

export interface WireError {
  readonly message: string
  readonly type: string
  readonly code: string
  readonly param: string | null
  readonly details?: Readonly<Record<string, string | number | boolean | null>> | undefined
}
