import type { DeploymentId } from '@latchkey/shared'

/** How this deployment names itself in `Via` (RFC 9110, section 7.6.3): the same on every instance. */
export function viaName(deploymentId: DeploymentId): string {
  return `latchkey-${deploymentId.slice(-12)}`
}

/** Whether a request has come through this deployment before. */
export function isLoop(via: string | null, ownName: string): boolean {
  return via?.split(',').some((hop) => hop.trim().split(/\s+/)[1] === ownName) ?? false
}

/** The `Via` to send: what came, and us behind it. */
export function appendVia(via: string | null, ownName: string): string {
  return via === null ? `1.1 ${ownName}` : `${via}, 1.1 ${ownName}`
}
