import { describe, expect, it } from 'vitest';
import { distance, nearest, suggestion } from './nearest.ts';

describe('nearest: a known name for a mistyped one', () => {
  it.each([
    ['tdp', 'tdp', 0],
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['tpd', 'tdp', 1],
    ['vcpu', 'vcpus', 1],
  ])('distance: %s to %s is %i', (a, b, edits) => {
    expect(distance(a, b)).toBe(edits);
    expect(distance(b, a)).toBe(edits);
  });

  it('suggests what is near and nothing else', () => {
    const known = ['tdp', 'nested', 'kpop'];
    expect(nearest('tpd', known)).toBe('tdp');
    expect(nearest('KPOP', known)).toBe('kpop');
    expect(nearest('nestd', known)).toBe('nested');
    expect(nearest('xen', known)).toBeUndefined();
    expect(nearest('', known)).toBeUndefined();
  });

  it('names what there is where nothing is near', () => {
    expect(suggestion('xen', ['tdp', 'kpop'])).toBe('; known are: tdp, kpop');
    expect(suggestion('tdo', ['tdp', 'kpop'])).toBe('; did you mean tdp?');
    expect(suggestion('x', [])).toBe('');
  });
});
