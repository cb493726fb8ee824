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
    // The tests wait more than they compute; by default one core of two would stay idle.
    maxWorkers: '100%',
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
