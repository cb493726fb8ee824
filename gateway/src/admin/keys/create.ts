import {
  type createProxyKeysWire,
  type createProxyKeyWire,
  LatchkeyError,
  type MintedProxyKeysWire,
  type MintedProxyKeyWire,
} from '@latchkey/shared'
import { type NewProxyKey, openPolicy } from '@latchkey/vault'
import type { z } from 'zod'
import { resolveGroup } from '../groups/groups.ts'
import { setScopeBudgets } from '../scope-budgets.ts'
import { momentOf, policyPart } from './key-input.ts'
import { toWires } from './key-wire.ts'
import { type KeySurroundings, noSuchTie } from './keys.ts'

type KeyInput = z.output<typeof createProxyKeyWire>

/** Mints a key; its token is in this answer and in no other. Throws `invalid_request`, `vault_sealed`, `overloaded`. */
export async function createKey(surroundings: KeySurroundings, input: KeyInput): Promise<MintedProxyKeyWire> {
  const [minted] = await mint(surroundings, [input], input.group ?? null)
  if (minted === undefined) throw new LatchkeyError('internal_error')
  return minted
}

/** Mints many keys, or none of them. Throws what minting one does. */
export async function createKeys(
  surroundings: KeySurroundings,
  { keys, ...common }: z.output<typeof createProxyKeysWire>,
): Promise<MintedProxyKeysWire> {
  const inputs = keys.map(
    (key): KeyInput => ({
      ...common,
      name: key.name,
      email: key.email,
      models: key.models === undefined ? common.models : key.models,
      expiresAt: key.expiresAt === undefined ? common.expiresAt : key.expiresAt,
      budgets: key.budgets ?? common.budgets,
    }),
  )
  return { data: await mint(surroundings, inputs, common.group ?? null) }
}

async function mint(
  { vault, database, organizationId, clock, random }: KeySurroundings,
  inputs: readonly KeyInput[],
  groupReference: string | null,
): Promise<MintedProxyKeyWire[]> {
  const group = groupReference === null ? null : await resolveGroup(vault, organizationId, groupReference)
  const created = await vault.proxyKeys.createMany(
    organizationId,
    inputs.map(
      (input): NewProxyKey => ({
        name: input.name,
        email: input.email ?? null,
        description: input.description,
        tags: input.tags,
        group,
        policy: { ...openPolicy, ...policyPart(input) },
        expiresAt: momentOf(input.expiresAt),
        providerKeys: input.providerKeys,
      }),
    ),
    async (trx, ids) => {
      for (const [index, id] of ids.entries()) {
        const budgets = inputs[index]?.budgets ?? []
        await setScopeBudgets(trx, { organizationId, kind: 'key', id }, budgets, clock, random)
      }
    },
  )
  if (created.kind !== 'created') throw noSuchTie(created)
  const wires = await toWires(
    database,
    created.keys.map(({ key }) => key),
    clock.now(),
  )
  return created.keys.flatMap(({ token }, index) => {
    const wire = wires[index]
    return wire === undefined ? [] : [{ ...wire, key: token.reveal() }]
  })
}
