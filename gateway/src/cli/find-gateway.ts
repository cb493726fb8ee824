import { LatchkeyError, Secret } from '@latchkey/shared'
import { readAdminToken } from '../admin/token.ts'
import { readDataDirectory } from '../data-directory.ts'
import { announcedGateways } from '../runtime/announced-gateways.ts'
import { CommandFailure, exitCode } from './exit-code.ts'

/** Where a gateway's admin plane answers, and what opens it. */
export interface GatewayAddress {
  /** An origin, without a path. */
  readonly url: string
  readonly token: Secret
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The gateway that a command talks to: that of `LATCHKEY_URL` and `LATCHKEY_TOKEN`, else the one that
 * runs on the data directory. Throws `CommandFailure` where there is none.
 */
export function findGateway(env: Environment): GatewayAddress {
  const named = env.LATCHKEY_URL
  if (named) return remote(named, env.LATCHKEY_TOKEN)
  const dataDirectory = readDataDirectory(env)
  const url = localUrl(env, dataDirectory)
  if (url === null) throw noGateway(dataDirectory)
  const token = env.LATCHKEY_TOKEN ? new Secret(env.LATCHKEY_TOKEN) : localToken(dataDirectory)
  if (token === null) throw noGateway(dataDirectory)
  return { url, token }
}

/** The failure of every command that needs a gateway and finds none. */
export function noGateway(where: string, cause?: unknown): CommandFailure {
  return new CommandFailure(
    exitCode.noGateway,
    `No gateway answers at ${where}. Start it with: npm start\nIf it runs elsewhere, set LATCHKEY_DATA_DIR to its data directory, or LATCHKEY_URL and LATCHKEY_TOKEN.`,
    cause,
  )
}

function remote(url: string, token: string | undefined): GatewayAddress {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new CommandFailure(exitCode.badSetting, 'LATCHKEY_URL must be a URL like http://127.0.0.1:8788.')
  }
  // The local token is no fallback: it would go to whatever host the variable names.
  if (!token)
    throw new CommandFailure(exitCode.badSetting, 'LATCHKEY_URL is set, so LATCHKEY_TOKEN must be set too.')
  return { url: new URL(url).origin, token: new Secret(token) }
}

function localUrl(env: Environment, dataDirectory: string): string | null {
  const announced = announcedGateways(dataDirectory)
  if (announced.length > 0) return announced.find((each) => each.alive)?.adminUrl ?? null
  const port = env.LATCHKEY_ADMIN_PORT
  if (!port) return null
  if (!/^[0-9]{1,5}$/.test(port)) {
    throw new CommandFailure(exitCode.badSetting, 'LATCHKEY_ADMIN_PORT must be a port.')
  }
  const host = env.LATCHKEY_ADMIN_HOST || '127.0.0.1'
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function localToken(dataDirectory: string): Secret | null {
  try {
    return readAdminToken(dataDirectory)
  } catch (error) {
    const message = error instanceof LatchkeyError ? error.message : 'The admin token cannot be read.'
    throw new CommandFailure(exitCode.tokenRefused, message, error)
  }
}
