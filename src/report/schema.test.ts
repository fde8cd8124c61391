/** The schemas: results pass, broken ones do not, and schema/ holds what the code says. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { emptyRun, sampleRun, sampleScaling } from '../../test/report/sample.ts';
import { compareSchema, jsonSchemas, listSchema, runSchema } from './schema.ts';

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('schema: results written as JSON read back as they were', () => {
  for (const run of [sampleRun, emptyRun]) expect(runSchema.parse(throughJson(run))).toEqual(run);
  expect(compareSchema.parse(throughJson(sampleScaling))).toEqual(sampleScaling);
});

test('schema: unknown fields are kept, missing and wrong ones refused', () => {
  expect(runSchema.parse({ ...sampleRun, secondsWall: 1 })).toHaveProperty('secondsWall', 1);
  for (const field of Object.keys(sampleRun)) {
    const without = Object.entries(sampleRun).filter(([name]) => name !== field);
    expect(runSchema.safeParse(Object.fromEntries(without)).success).toBe(false);
  }
  expect(runSchema.safeParse({ ...sampleRun, schema: 'kpop.run/2' }).success).toBe(false);
  expect(runSchema.safeParse({ ...sampleRun, cycles: Number.NaN }).success).toBe(false);
});

test('schema: a list', () => {
  const entry = { id: 'a', title: 'A' };
  const empty = { workloads: [entry], litmus: [], promises: [], experiments: [], machines: [] };
  const axes = [{ name: 'flush', values: ['sync', 'request'], default: 'sync' }];
  const design = { ...entry, axes, source: 'here', leavesOut: ['x'], isolates: 'flushes' };
  const listed = { schema: 'kpop.list/1', designs: [design], ...empty };
  expect(listSchema.parse(listed)).toEqual(listed);
  expect(listSchema.safeParse({ ...listed, designs: [entry] }).success).toBe(false);
});

test('schema: the published files are those of the code (npm run schema)', () => {
  for (const [name, text] of jsonSchemas()) {
    const file = join('schema', name);
    expect(existsSync(file) ? readFileSync(file, 'utf8') : '').toBe(text);
  }
});
