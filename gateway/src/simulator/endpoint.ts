import type { Answer } from './answer.ts'
import type { Directions } from './directions.ts'
import type { JsonObject } from './fields.ts'
import type { Form } from './multipart.ts'

/** What every endpoint knows of the request it answers. */
export interface Call {
  /** 24 hexadecimal digits, unique; the ids of what is answered are made of it. */
  readonly id: string
  /** Seconds since the Unix epoch, as the API's objects have it. */
  readonly createdAt: number
  readonly directions: Directions
  /** The segment of the path that the endpoint's `{id}` stands for, decoded; empty where it has none. */
  readonly pathId: string
  readonly query: URLSearchParams
  /** A number that chooses among equally good answers. */
  readonly variety: number
}

/** One operation of the API. `path` follows the base path; one segment of it may be `{id}`. */
export type Endpoint =
  | {
      readonly method: 'GET' | 'POST' | 'DELETE'
      readonly path: string
      readonly takes: 'nothing'
      answer(call: Call): Answer
    }
  | {
      readonly method: 'POST'
      readonly path: string
      readonly takes: 'json'
      answer(call: Call, body: JsonObject): Answer
    }
  | {
      readonly method: 'POST'
      readonly path: string
      readonly takes: 'form'
      answer(call: Call, form: Form): Answer
    }
