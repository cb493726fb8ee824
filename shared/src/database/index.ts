// What opens, moves and watches a database: apart from the rest of the package, since its libraries take longer to load
// than most commands run.
export { mostBigint } from './bigint.ts'
export * from './connect.ts'
export { postgresMajor } from './embedded/binaries.ts'
export { clusterVersion } from './embedded/cluster.ts'
export * from './embedded/start.ts'
export * from './listen.ts'
export * from './migrate.ts'
export * from './migrations/index.ts'
export * from './migrations/migration.ts'
export * from './server-check.ts'
