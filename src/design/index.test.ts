import { describe, expect, it } from 'vitest';
import { designs, parseDesign } from './index.ts';

describe('parseDesign: an id and axes', () => {
  it.each(designs.map(({ id }) => id))('%s: all axes have their defaults', (id) => {
    const { name, design, axes } = parseDesign(id);
    expect(name).toBe(id);
    for (const [axis, value] of Object.entries(axes)) {
      expect(design.axes[axis]!.default).toBe(value);
      expect(design.axes[axis]!.values).toContain(value);
    }
  });

  it('names what was given, in the design’s own order', () => {
    const { name, axes } = parseDesign('kpop:shards=1,lock=vm');
    expect(name).toBe('kpop:lock=vm,shards=1');
    expect(axes).toMatchObject({ lock: 'vm', shards: '1', run: 'fused' });
  });

  it('every axis value of every design can be chosen', () => {
    for (const { id, axes } of designs) {
      for (const [axis, { values }] of Object.entries(axes)) {
        for (const value of values) {
          expect(parseDesign(`${id}:${axis}=${value}`).axes[axis]).toBe(value);
        }
      }
    }
  });
});
