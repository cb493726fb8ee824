/** One step of the schema, run in a transaction of its own. Once released it is never edited. */
export interface Migration {
  readonly name: string
  readonly sql: string
}
