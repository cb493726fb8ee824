import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mintedProxyKeyWire } from '@latchkey/shared'
import { type Ended, latchkey } from '../cli/latchkey-process.ts'
import { type Canary, newSecret } from './canary.ts'
import {
  type AdminAnswer,
  gatewayEnvironment,
  type KillableGateway,
  startKillableGateway,
} from './killable-gateway.ts'

/** A key as its creation showed it. */
export interface ShownKey {
  readonly id: string
  readonly token: string
}

/** A gateway full of secrets, of which everything is kept that leaves it. */
export class CanaryTrial {
  readonly directory: string
  readonly canaries: Canary[] = []
  /** What came out, by where. */
  readonly places: (readonly [place: string, content: string | Buffer])[] = []
  /** Provider keys that may be seen at the provider. */
  readonly atProvider = new Set<string>()
  readonly firstKey: string
  readonly #env: Readonly<Record<string, string>>
  gateway: KillableGateway

  /** Starts it: with its root key and a first provider key, for `openAiBaseUrl`, in the environment. */
  constructor(directory: string, openAiBaseUrl: string) {
    this.directory = directory
    const rootKey = randomBytes(32)
    const text = rootKey.toString('base64')
    this.canaries.push({ name: 'the root key', bytes: rootKey })
    this.canaries.push({ name: 'the root key in base64', bytes: Buffer.from(text) })
    this.firstKey = this.give('OPENAI_API_KEY')
    this.#env = {
      LATCHKEY_LOG_LEVEL: 'debug',
      LATCHKEY_ROOT_KEY: text,
      OPENAI_API_KEY: this.firstKey,
      OPENAI_BASE_URL: openAiBaseUrl,
    }
    this.gateway = startKillableGateway(directory, this.#env)
  }

  /** Starts it again after its end; `more` replaces settings. */
  restart(more: Readonly<Record<string, string>> = {}): void {
    this.keep(`the output of process ${this.gateway.pid}`, this.gateway.output())
    this.gateway = startKillableGateway(this.directory, { ...this.#env, ...more })
  }

  /** A new secret that nobody may see. */
  plant(name: string): string {
    const secret = newSecret()
    this.canaries.push({ name, bytes: Buffer.from(secret) })
    return secret
  }

  /** A new secret that nobody but the provider may see. */
  give(name: string): string {
    const secret = this.plant(name)
    this.atProvider.add(secret)
    return secret
  }

  keep(place: string, content: string | Buffer): void {
    this.places.push([place, content])
  }

  /** The admin token of the data directory, a canary from now on. */
  async adminToken(): Promise<string> {
    await this.gateway.ready()
    const token = readFileSync(join(this.directory, 'admin.token'), 'utf8').trim()
    this.canaries.push({ name: 'the admin token', bytes: Buffer.from(token.slice(17, 60)) })
    return token
  }

  async admin(method: string, path: string, body?: unknown): Promise<AdminAnswer> {
    const answer = await this.gateway.admin(method, path, body)
    this.keep(`${method} ${path}`, answer.text)
    return answer
  }

  /** Mints or rotates a key: this answer is the one place where its token may be. */
  async show(name: string, path: string, body: unknown): Promise<ShownKey> {
    const { status, text } = await this.gateway.admin('POST', path, body)
    if (status >= 300) throw new Error(text)
    const { key, id } = mintedProxyKeyWire.parse(JSON.parse(text))
    // Without its id, which is no secret.
    this.canaries.push({ name, bytes: Buffer.from(key.slice(16, 59)) })
    this.keep(`POST ${path}, less the key`, text.replaceAll(key, ''))
    return { id, token: key }
  }

  /** One command line, with `input` on standard input, and the settings of the gateway in its environment. */
  async cli(args: readonly string[], input = ''): Promise<Ended> {
    const ended = await latchkey(args, gatewayEnvironment(this.directory, this.#env), input)
    this.keep(`stdout of ${args.slice(0, 2).join(' ')}`, ended.stdout)
    this.keep(`stderr of ${args.slice(0, 2).join(' ')}`, ended.stderr)
    return ended
  }

  /** A request to the data plane: a GET, or a POST of `body`. Gives its status; 0 where the connection broke. */
  async call(
    token: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const { dataUrl } = await this.gateway.ready()
    const authorization = `Bearer ${token}`
    try {
      const response =
        body === undefined
          ? await fetch(`${dataUrl}${path}`, { headers: { authorization, ...headers } })
          : await fetch(`${dataUrl}${path}`, {
              method: 'POST',
              headers: { authorization, 'content-type': 'application/json', ...headers },
              body: typeof body === 'string' ? body : JSON.stringify(body),
            })
      this.keep(`headers of ${path}`, JSON.stringify([...response.headers]))
      this.keep(`body of ${path}`, Buffer.from(await response.arrayBuffer().catch(() => new ArrayBuffer(0))))
      return response.status
    } catch {
      return 0
    }
  }
}
