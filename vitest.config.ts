import { defineConfig } from 'vitest/config'

// Packages of the workspace are tested as their sources, without a build.
const resolve = { conditions: ['source'] }

export default defineConfig({
  resolve,
  ssr: { resolve },
  // Where Vitest runs `globalSetup`.
  environments: { __vitest__: { resolve } },
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/postgres-server.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
