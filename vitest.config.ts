import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real servers of other languages: `npm run test:interop`.
    exclude: ['test/interop/**'],
    // A process per file: what one file leaves open cannot hide in the next.
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // A flaky test is a bug, not a reason to try again.
    retry: 0,
    coverage: {
      provider: 'v8',
      include: ['src/engineio/**', 'src/headers.ts'],
      reporter: ['text'],
      thresholds: { lines: 100 },
    },
  },
});
