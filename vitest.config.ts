import { defineConfig } from 'vitest/config'

// Packages of the workspace are tested as their sources, without a build.
const resolve = { conditions: ['source'] }

// What `startTestGateway` starts is embedded in one project, and in server mode in the other.
const onBothRuntimes = [
  'tests/proxy/**/*.test.ts',
  'tests/holder/**/*.test.ts',
  'tests/security/bad-credentials.test.ts',
  'tests/security/policy-bypass.test.ts',
  'tests/traces/requests.test.ts',
]

// Parts of the proxy by themselves, or in a process that they start.
const withoutGateway = [
  'tests/proxy/annotations.test.ts',
  'tests/proxy/body-block.test.ts',
  'tests/proxy/event-stream.test.ts',
  'tests/proxy/large-upload.test.ts',
  'tests/proxy/upload.test.ts',
]

export default defineConfig({
  resolve,
  ssr: { resolve },
  // Where Vitest runs `globalSetup`.
  environments: { __vitest__: { resolve } },
  test: {
    projects: [
      { extends: true, test: { name: 'embedded', include: ['tests/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'server',
          include: onBothRuntimes,
          exclude: withoutGateway,
          globalSetup: ['tests/support/shared-servers.ts'],
        },
      },
    ],
    globalSetup: ['tests/support/postgres-server.ts'],
    // The tests wait about as much as they compute: with a worker for each core, cores would stay idle.
    maxWorkers: '150%',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // What is waited for may take long on a machine that is busy; nothing is proven by how long it took.
    expect: { poll: { timeout: 10_000 } },
  },
})
