import { defineConfig } from 'vitest/config';

/** Real servers of other languages: slow to start and heavy, so one file at a time. */
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
