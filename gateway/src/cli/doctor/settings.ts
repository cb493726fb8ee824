import { type Finding, fail, ok, warn } from './finding.ts'
import type { Gateway, Settings } from './situation.ts'

export function checkSettings(settings: Settings): Finding {
  if (settings.kind === 'invalid') return fail('settings', settings.message, 'Correct or unset the variable.')
  const { rootKey } = settings.config
  if (rootKey.kind === 'value') {
    return warn(
      'settings',
      'The root key is in the environment, which child processes and crash reports see',
      'Prefer LATCHKEY_ROOT_KEY_FILE.',
    )
  }
  return ok('settings', 'every variable can be read')
}

export function checkGateway(gateway: Gateway): Finding {
  switch (gateway.kind) {
    case 'absent':
      return ok('gateway', 'not running (start it with: npm start)')
    case 'refusing':
      return fail(
        'gateway',
        gateway.message,
        'Use the token of the gateway that runs there, or another port.',
      )
    case 'running': {
      const { version, pid, dataUrl, draining, vault } = gateway.status
      const running = `version ${version} runs as process ${pid} at ${dataUrl}`
      if (draining)
        return warn('gateway', `${running}, but is shutting down`, 'Start it again once it has ended.')
      if (vault.sealed)
        return warn('gateway', `${running}, but its vault is sealed`, 'Run: latchkey vault unseal')
      return ok('gateway', running)
    }
    default:
      return gateway satisfies never
  }
}
