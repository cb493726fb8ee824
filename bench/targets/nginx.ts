import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../tests/support/free-port.ts'
import { listensOn, startProgram } from '../program.ts'
import { requireTool } from '../tools.ts'
import { type Contender, providerSecret } from './target.ts'

/** nginx as a reverse proxy that sets a header: what the machine can do without any of a gateway's work. */
export const nginx: Contender = {
  names: ['nginx'],
  async start({ directory, cores, providerPort }) {
    const port = await freePort()
    const file = join(directory, 'nginx.conf')
    writeFileSync(file, configuration(directory, port, providerPort))
    const program = await startProgram({
      name: 'nginx',
      command: [requireTool('nginx'), '-c', file, '-e', join(directory, 'nginx-error.log')],
      core: cores.gateway,
      directory,
      isReady: () => listensOn(port),
    })
    const target = {
      name: 'nginx',
      url: `http://127.0.0.1:${port}/v1/chat/completions`,
      headers: {},
      makeKeys: null,
      pids: [program.pid],
      model: null,
      note: 'reverse proxy, no keys',
    }
    return { targets: [target], stop: program.stop }
  },
}

function configuration(directory: string, port: number, providerPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${join(directory, `nginx-${name}`)};`)
    .join('\n')
  return `
daemon off;
worker_processes 1;
pid ${join(directory, 'nginx.pid')};
events { worker_connections 8192; }
http {
${temporary}
  access_log off;
  keepalive_requests 1000000000;
  client_body_buffer_size 1m;
  upstream provider {
    server 127.0.0.1:${providerPort};
    keepalive 2048;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer ${providerSecret}";
      proxy_buffering off;
    }
  }
}
`
}
