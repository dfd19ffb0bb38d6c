import { defineConfig } from 'vitest/config';

/** Real servers of other languages: slow to start and heavy, so one file at a time. */
export default defineConfig({
  test: {
    // The matrix of all servers and clients: `npm run test:matrix`.
    include: ['test/interop/netty/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
