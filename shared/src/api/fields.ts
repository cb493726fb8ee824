import { z } from 'zod'
import { isUuid } from '../ids.ts'

/** A moment, RFC 3339 with milliseconds in UTC: `2026-12-06T18:00:00.000Z`. */
export const timestamp = z.iso.datetime()

/** A moment as people write it: any offset, any precision. */
export const timestampInput = z.iso.datetime({
  offset: true,
  error: 'must be a time like 2026-12-06T18:00:00Z',
})

/** The name of a provider key; unique in its organization, and part of paths of this API. */
export const providerKeyName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    'must be 1 to 64 letters, digits, dots, underscores or hyphens, and begin with a letter or digit',
  )

/** The name of a proxy key: whatever tells people whose it is. Not unique. */
export const proxyKeyName = z
  .string()
  .min(1, 'must not be empty')
  .max(128, 'must be at most 128 characters')
  // Names stand in tables on terminals: control characters (and bidirectional ones) would let a name forge its row.
  .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, 'must not hold control or formatting characters')
  .refine((name) => name.trim() === name, 'must not begin or end with a space')

/** The name of a group; unique in its organization. It may stand wherever a group's id may, so it is none. */
export const groupName = proxyKeyName.refine((name) => !isUuid(name.toLowerCase()), 'must not be an id')

/** Whom a key was made for. The longest that a mail server takes (RFC 3696, erratum 1690). */
export const emailAddress = z
  .email('must be an e-mail address like alice@example.org')
  .max(254, 'must be at most 254 characters')

/** A text of one or a few lines for people, at most `most` characters. */
export function note(most: number): z.ZodString {
  return z.string().max(most, `must be at most ${most} characters`)
}
