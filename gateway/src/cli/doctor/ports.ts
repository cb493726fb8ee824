import { once } from 'node:events'
import { createServer } from 'node:net'
import { errorCode } from '@latchkey/shared'
import { type Finding, fail, ok } from './finding.ts'
import type { Situation } from './situation.ts'

/** Whether the gateway has its ports, or could have them. */
export async function checkPorts({ settings, gateway }: Situation): Promise<readonly Finding[]> {
  if (settings.kind === 'invalid') return []
  if (gateway.kind === 'running') return [ok('ports', `the gateway answers at ${gateway.status.dataUrl}`)]
  const { host, port, adminHost, adminPort } = settings.config
  return [
    await checkPort('port', host, port, 'LATCHKEY_PORT'),
    await checkPort('admin port', adminHost, adminPort, 'LATCHKEY_ADMIN_PORT'),
  ]
}

/** Listens for a moment: nothing else tells for sure. */
async function checkPort(check: string, host: string, port: number, variable: string): Promise<Finding> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
    return ok(check, port === 0 ? 'any free one' : `${port} on ${host} is free`)
  } catch (error) {
    const code = errorCode(error) ?? 'unknown error'
    if (code === 'EADDRINUSE') {
      return fail(check, `${port} on ${host} is in use`, `Stop what listens there, or set ${variable}.`)
    }
    return fail(
      check,
      `can't listen on ${host}, port ${port} (${code})`,
      `Set ${variable}, or the host beside it.`,
    )
  } finally {
    server.close()
  }
}
