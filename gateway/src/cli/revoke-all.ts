import { revokedAllWire } from '@latchkey/shared'
import { counted } from './counted.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { findGroup } from './find-group.ts'
import { connect, type Surroundings } from './surroundings.ts'

export interface RevokeAllOptions {
  readonly yes?: true
  readonly json?: true
}

/** Ends every key, or every key of a group, for good: after `--yes` only. Throws `CommandFailure`. */
export async function revokeAll(
  surroundings: Surroundings,
  which: string | undefined,
  options: RevokeAllOptions,
): Promise<void> {
  const { terminal } = surroundings
  const client = connect(surroundings)
  const group = which === undefined ? null : await findGroup(client, which)
  const whose =
    group === null ? 'every proxy key' : `every key of ${group.name} (${counted(group.keys, 'key')})`
  if (options.yes !== true)
    throw new CommandFailure(
      exitCode.usage,
      `This ends ${whose} for good. Say --yes if that is what you want.`,
    )
  const path = group === null ? '/api/keys/revoke-all' : `/api/groups/${group.id}/revoke-all`
  const answer = await client.call({ method: 'POST', path, answer: revokedAllWire })
  if (options.json) terminal.json(answer)
  else terminal.line(`Revoked ${counted(answer.revoked, 'key')}${group === null ? '' : ` of ${group.name}`}.`)
}
