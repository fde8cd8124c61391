import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ACTS_PER_FAULT } from '../../bench/floor.ts';
import { measure } from '../../bench/main.ts';
import { actsPerFault } from '../../bench/simulated.ts';

const traces = fileURLToPath(new URL('../../data/traces', import.meta.url));

test('bench: a quick run gives a rate for everything that it names', async () => {
  const { results, memory } = await measure('quick', traces);
  const names = results.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of [
    'TLB hits',
    'private accesses, 64 vCPUs',
    'trace sort',
    'touch, kpop, 8 vCPUs',
    'refault, nested, 1 vCPU',
  ]) {
    expect(names).toContain(name);
  }
  for (const { perSecond } of results) expect(perSecond).toBeGreaterThan(0);
  expect(memory.megabytes).toBeGreaterThan(0);
});

test('bench: the floor of a fault has as many acts as a fault has', () => {
  expect(Math.round(actsPerFault())).toBe(ACTS_PER_FAULT);
});
