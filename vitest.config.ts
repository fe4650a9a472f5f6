import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{apps,packages}/*/src/**/*.test.{ts,tsx}', '{bench,docker,scripts}/**/*.test.ts'],
          globalSetup: ['scripts/test-redis.ts'],
          // Drawing with the demo model takes seconds on two busy cores.
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'chart',
          include: ['charts/tests/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          // Not part of `npm test`: it needs a cluster, which KUBECONFIG names.
          name: 'cluster',
          include: ['charts/tests/cluster/*.test.ts'],
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/*.test.ts'],
          // One product at a time on a machine of two cores.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          // Not part of `npm test`: it installs gigabytes.
          name: 'open-webui',
          include: ['e2e/open-webui/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
