import { once } from 'node:events'
import type { Server } from 'node:http'
import { errorCode, LatchkeyError } from '@latchkey/shared'

/** Starts a server and gives its origin. Throws `port_in_use` or `invalid_config`, naming the variable to change. */
export async function listen(
  server: Server,
  host: string,
  port: number,
  hostVariable: string,
  portVariable: string,
): Promise<string> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EADDRINUSE') {
      throw new LatchkeyError('port_in_use', {
        message: `Port ${port} on ${host} is in use. Stop what listens there, or set ${portVariable} to another port.`,
        param: portVariable,
        cause: error,
      })
    }
    const [variable, value] = code === 'EACCES' ? [portVariable, String(port)] : [hostVariable, host]
    throw new LatchkeyError('invalid_config', {
      message: `Can't listen on ${host}, port ${port} (${String(code)}): ${variable} is ${JSON.stringify(value)}.`,
      param: variable,
      cause: error,
    })
  }
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  const name =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${bound}`
}

/** Ends a server whose requests are over: what is still connected is idle. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}
