import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LruFilter } from './filter.ts';
import { FETCH, READ, WRITE } from './page-trace.ts';

/** The definition, written down as slowly as it reads. */
function definition(size: number, references: readonly (readonly [number, number])[]): boolean[] {
  let list: { page: number; kinds: Set<number> }[] = [];
  return references.map(([kind, page]) => {
    const found = list.find((entry) => entry.page === page);
    const entry = found ?? { page, kinds: new Set<number>() };
    const isLine = !entry.kinds.has(kind);
    entry.kinds.add(kind);
    list = [entry, ...list.filter((other) => other !== entry)].slice(0, size);
    return isLine;
  });
}

describe('LRU filter', () => {
  test('agrees with its definition', () => {
    const reference = fc.tuple(fc.constantFrom(FETCH, READ, WRITE), fc.nat(12));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(reference), (size, references) => {
        const filter = new LruFilter(size);
        const passed = references.map(([kind, page]) => filter.passes(kind, page));
        expect(passed).toEqual(definition(size, references));
      }),
    );
  });

  test('a read page that becomes written is a new line', () => {
    const filter = new LruFilter(2);
    expect(filter.passes(READ, 7)).toBe(true);
    expect(filter.passes(READ, 7)).toBe(false);
    expect(filter.passes(WRITE, 7)).toBe(true);
    expect(filter.passes(READ, 7)).toBe(false);
  });

  test('a page that left the list starts anew', () => {
    const filter = new LruFilter(2);
    expect([1, 2, 3, 1].map((page) => filter.passes(READ, page))).toEqual([true, true, true, true]);
  });

  test('page 0 is a page like any other', () => {
    const filter = new LruFilter(4);
    expect(filter.passes(FETCH, 0)).toBe(true);
    expect(filter.passes(FETCH, 0)).toBe(false);
  });
});
