/** How long things take, in milliseconds. Tests make them shorter; nobody else has a reason to. */
export interface BudgetTimes {
  /** Between two heartbeats. */
  readonly beatEvery: number
  /** A heartbeat without an answer has failed after so long: the next one comes on a new connection. */
  readonly beatWithin: number
  /** Holds are taken for so long after the sending of the last heartbeat that was acknowledged. */
  readonly trustFor: number
  /** An epoch that has been watched for so long without a heartbeat is dead. More than `trustFor`, with a margin. */
  readonly deadAfter: number
  /** Two looks at an epoch that are further apart than this say nothing about the time in between. */
  readonly longestGap: number
  /** A hold waits so long for money that others have been asked to return. */
  readonly recallFor: number
  /** A refusal is repeated for so long without asking again. */
  readonly refuseFor: number
  /** What a lease has to spare returns after so long without a hold, where its window is nearly all leased or spent. */
  readonly idleWhenScarce: number
  /** And elsewhere. */
  readonly idle: number
  /** Between two looks for idle leases. */
  readonly lookEvery: number
  /** A hold waits so long for a database that does not answer. */
  readonly answerWithin: number
}

export const budgetTimes: BudgetTimes = Object.freeze({
  beatEvery: 5_000,
  beatWithin: 5_000,
  trustFor: 30_000,
  deadAfter: 60_000,
  longestGap: 15_000,
  recallFor: 250,
  refuseFor: 100,
  idleWhenScarce: 2_000,
  idle: 300_000,
  lookEvery: 500,
  answerWithin: 2_000,
})
