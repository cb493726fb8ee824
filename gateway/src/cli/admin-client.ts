import { errorWire } from '@latchkey/shared'
import type { z } from 'zod'
import { CommandFailure, exitCode } from './exit-code.ts'
import { type GatewayAddress, noGateway } from './find-gateway.ts'
import { type HttpAnswer, httpCall } from './http-call.ts'

/** The gateway refused a command, by a code of its catalogue. */
export class AdminRefusal extends CommandFailure {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(status === 401 ? exitCode.tokenRefused : exitCode.failure, message)
    this.status = status
    this.code = code
  }
}

interface Call<Schema extends z.ZodType> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  /** What is undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  readonly answer: Schema
  readonly signal?: AbortSignal
}

/** Speaks to the admin API, and believes no answer that does not have its shape. */
export class AdminClient {
  readonly #address: GatewayAddress

  constructor(address: GatewayAddress) {
    this.#address = address
  }

  /** Throws `AdminRefusal` for what the gateway refuses, `CommandFailure` for what is no gateway. */
  async call<Schema extends z.ZodType>(call: Call<Schema>): Promise<z.output<Schema>> {
    const { status, text } = await this.#send(call)
    const value = parseJson(text)
    if (status >= 400) throw this.#refusal(status, value)
    const parsed = call.answer.safeParse(value)
    if (parsed.success) return parsed.data
    throw new CommandFailure(
      exitCode.failure,
      `${this.#address.url} answered with something else than this command expects. Do gateway and command line have the same version?`,
      parsed.error,
    )
  }

  async #send(call: Call<z.ZodType>): Promise<HttpAnswer> {
    const url = new URL(call.path, this.#address.url)
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    try {
      const body = call.body === undefined ? null : JSON.stringify(call.body)
      const headers = {
        authorization: `Bearer ${this.#address.token.reveal()}`,
        ...(body === null
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      }
      // Opening every row of a large vault takes its time; whoever waits can press Ctrl-C.
      return await httpCall(
        url,
        { method: call.method, headers, ...(call.signal === undefined ? {} : { signal: call.signal }) },
        body,
      )
    } catch (error) {
      if (call.signal?.aborted) throw error
      throw noGateway(this.#address.url, error)
    }
  }

  #refusal(status: number, value: unknown): CommandFailure {
    const parsed = errorWire.safeParse(value)
    if (!parsed.success) {
      return new CommandFailure(
        exitCode.noGateway,
        `${this.#address.url} answers ${status}, but it is no gateway.`,
      )
    }
    const { code, message } = parsed.data.error
    if (status !== 401) return new AdminRefusal(status, code, message)
    return new AdminRefusal(
      status,
      code,
      `${this.#address.url} does not accept this admin token. It belongs to another data directory.`,
    )
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
