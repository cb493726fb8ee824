import type { TestPostgres } from '../../support/postgres.ts'

/**
 * The clock of a database, which can be set. Its functions come before Postgres's own in every session's search
 * path, so the gateway's statements read it, and nothing in the gateway knows.
 */
export class DatabaseClock {
  readonly #postgres: TestPostgres
  readonly #database: string

  constructor(postgres: TestPostgres, database: string) {
    this.#postgres = postgres
    this.#database = database
  }

  /** Makes the clock. Sessions that are there already do not see it. */
  async install(): Promise<void> {
    await this.#postgres.query(
      this.#database,
      `CREATE TABLE proof_clock (shift interval NOT NULL);
       INSERT INTO proof_clock VALUES ('0');
       CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
         AS 'SELECT pg_catalog.clock_timestamp() + shift FROM public.proof_clock';
       CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql STABLE
         AS 'SELECT pg_catalog.now() + shift FROM public.proof_clock';
       ALTER DATABASE ${this.#database} SET search_path = public, pg_catalog`,
    )
  }

  /** Sets it to `at` (ISO 8601); it goes on from there. */
  async set(at: string): Promise<void> {
    await this.#change(`'${at}'::timestamptz - pg_catalog.clock_timestamp()`)
  }

  /** Sets it on, or back. */
  async step(seconds: number): Promise<void> {
    await this.#change(`shift + make_interval(secs => ${seconds})`)
  }

  async #change(shift: string): Promise<void> {
    await this.#postgres.query(this.#database, `UPDATE proof_clock SET shift = ${shift}`)
  }
}
