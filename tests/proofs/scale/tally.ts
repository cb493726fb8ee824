/** What all that were followed have done, counted. */
export interface Tally {
  requests: number
  refusedByBudget: number
  /** 503 `overloaded`: as many wait for argon2 as may wait. */
  refusedByArgon2: number
  /** Statements of grants and returns, what they carry, and the rows that they write. */
  leaseStatements: number
  grants: number
  returns: number
  leaseRows: number
  /** Rows of the leases that each heartbeat compares. */
  comparedRows: number
  recordBatches: number
  records: number
  /** Rows of windows and of leases into which records settle. */
  settledRows: number
  keyStatements: number
  keyRows: number
  argon2Runs: number
  /** EVALSHA in all, and those of them that a request waited for. */
  redisCalls: number
  redisQuestions: number
}

export function newTally(): Tally {
  return {
    requests: 0,
    refusedByBudget: 0,
    refusedByArgon2: 0,
    leaseStatements: 0,
    grants: 0,
    returns: 0,
    leaseRows: 0,
    comparedRows: 0,
    recordBatches: 0,
    records: 0,
    settledRows: 0,
    keyStatements: 0,
    keyRows: 0,
    argon2Runs: 0,
    redisCalls: 0,
    redisQuestions: 0,
  }
}

/** What was counted after `before`. */
export function since(before: Readonly<Tally>, now: Readonly<Tally>): Tally {
  const result = newTally()
  for (const name of Object.keys(result)) {
    if (isCount(name, result)) result[name] = now[name] - before[name]
  }
  return result
}

function isCount(name: string, tally: Tally): name is keyof Tally {
  return Object.hasOwn(tally, name)
}
