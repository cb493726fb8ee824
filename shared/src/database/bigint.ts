import pg from 'pg'

// Type ids are fixed in Postgres's catalog (pg_type.dat).
const int8: number = 20
const int8Array: number = 1016

/** The greatest `int8`. A sum that could exceed it, as one of what an upstream claims, is cut to it: `least(sum(…), …)`. */
export const mostBigint = 9_223_372_036_854_775_807n

/**
 * How values are read from Postgres. `int8` becomes `bigint`, and an array of it an array of
 * those: `pg` gives strings, because a JavaScript number would lose digits above 2^53. Everything
 * else is as `pg` has it: `timestamptz` is a `Date`, `bytea` a `Buffer`, `numeric` a string (so cast
 * `sum()` of an `int8` column back to `int8`). Given to each pool, so that no other user of `pg`
 * in the process is affected.
 */
export const typeParsers: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format === 'binary') return pg.types.getTypeParser(oid, 'binary')
    if (oid === int8) return BigInt
    if (oid === int8Array) return parseInt8Array
    return pg.types.getTypeParser(oid, 'text')
  },
}

const parseStringArray: (text: string) => unknown = pg.types.getTypeParser(int8Array, 'text')

function parseInt8Array(text: string): unknown {
  return toBigInt(parseStringArray(text))
}

/** Arrays of arrays are one type in Postgres, so the depth is known only here. */
function toBigInt(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toBigInt)
  return typeof value === 'string' ? BigInt(value) : value
}
