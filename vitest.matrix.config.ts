import { defineConfig } from 'vitest/config';

/** What single kinds of servers do, against the real ones. */
export default defineConfig({
  test: {
    include: ['test/interop/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 600_000,
  },
});
