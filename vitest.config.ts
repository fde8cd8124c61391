/** Where the tests are and how they run. */

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: '100%', // else one core of two would idle
    testTimeout: 60_000,
    passWithNoTests: true,
  },
});
