/**
 * Prices of cache-line ownership: first touch, sharing, write after share, contended modifies one
 * after the other, distances; against a slow model that keeps a set of sharers per line.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Lines } from './lines.ts';
import { Memory } from './memory.ts';

const NEAR = 100;
const FAR = 300;
const L1 = 4;
const RMW = 20;
const LLC = 56;
const PER_SOCKET = 20;

function transfer(from: number, to: number): number {
  if (from === to) return 0;
  return Math.floor(from / PER_SOCKET) === Math.floor(to / PER_SOCKET) ? NEAR : FAR;
}

function newLines(cpus = 80): Lines {
  return new Lines(new Memory({ frames: 4 }), cpus, { l1: L1, rmw: RMW, llc: LLC, transfer });
}

/** The same rules, told slowly: by whom the line was written last, and who has a copy. */
class Slow {
  owner = -1;
  sharers = new Set<number>();
  free = 0;

  read(cpu: number, now: number): number {
    if (this.sharers.has(cpu)) return L1;
    this.sharers.add(cpu);
    if (this.owner < 0) return LLC;
    return Math.max(0, this.free - now) + transfer(this.owner, cpu);
  }

  modify(cpu: number, now: number, locked: boolean): number {
    const local = locked ? RMW : L1;
    const others = [...this.sharers].filter((other) => other !== cpu);
    if (others.length === 0 && this.owner === cpu) return local;
    const farthest = Math.max(...others.map((other) => transfer(other, cpu)));
    const move = others.length > 0 ? farthest : this.owner < 0 ? LLC : transfer(this.owner, cpu);
    const start = Math.max(now, this.free);
    this.free = start + move;
    this.owner = cpu;
    this.sharers = new Set([cpu]);
    return start - now + move + local;
  }
}

describe('one line', () => {
  it('first touch comes from the last-level cache, then the CPU has it', () => {
    const lines = newLines();
    expect([lines.read(1, 0, 0), lines.read(1, 14, 0)]).toEqual([LLC, L1]);
    expect(lines.read(1, 16, 0)).toBe(LLC); // the next line
    expect([lines.modify(2, 32, 0, true), lines.modify(2, 32, 100, true)]).toEqual([
      LLC + RMW,
      RMW,
    ]);
    expect(lines.modify(2, 32, 100, false)).toBe(L1);
  });

  it('a dirty line is fetched from its writer, near or far', () => {
    const lines = newLines();
    lines.modify(0, 0, 0, false);
    expect([lines.read(1, 0, 1000), lines.read(25, 0, 1000)]).toEqual([NEAR, FAR]);
    expect(lines.read(1, 0, 1000)).toBe(L1);
  });

  it('a write after sharing waits for the farthest sharer, and takes all copies', () => {
    const lines = newLines();
    lines.modify(0, 0, 0, false);
    for (const cpu of [1, 2, 45]) lines.read(cpu, 0, 1000);
    expect(lines.modify(0, 0, 2000, true)).toBe(FAR + RMW);
    expect(lines.read(1, 0, 9000)).toBe(NEAR);
    expect(lines.modify(2, 0, 9000, true)).toBe(NEAR + RMW);
  });

  it('the farthest sharer counts wherever it stands among 80 CPUs', () => {
    for (const [cpu, ...sharers] of [
      [33, 25, 35, 45],
      [33, 25, 45, 35],
      [33, 35, 5, 25],
      [70, 65, 61, 59],
    ] as const) {
      const lines = newLines();
      lines.modify(cpu, 0, 0, false);
      for (const sharer of sharers) lines.read(sharer, 0, 1000);
      expect(lines.modify(cpu, 0, 2000, true)).toBe(FAR + RMW);
    }
  });

  it('n CPUs that modify it at once: one transfer after the other', () => {
    const lines = newLines();
    lines.modify(0, 0, 0, true);
    const taken = [1, 2, 3, 4].map((cpu) => lines.modify(cpu, 0, 1000, true));
    expect(taken).toEqual([1, 2, 3, 4].map((i) => i * NEAR + RMW));
  });

  it('a zeroed range belongs to the CPU that zeroed it', () => {
    const lines = newLines();
    lines.modify(3, 40, 0, true);
    lines.own(1, 32, 32);
    expect([32, 40, 63].map((at) => lines.modify(1, at, 500, false))).toEqual([L1, L1, L1]);
    expect(lines.modify(1, 64, 500, false)).toBe(LLC + L1);
  });
});

describe('against the slow model', () => {
  it('any sequence of reads and modifies on 80 CPUs of 4 sockets: the same cycles', () => {
    const act = fc.record({
      cpu: fc.nat(79),
      line: fc.nat(2),
      what: fc.constantFrom('read', 'store', 'locked'),
      pause: fc.nat(400),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const lines = newLines();
        const slow = [new Slow(), new Slow(), new Slow()];
        let now = 0;
        for (const { cpu, line, what, pause } of acts) {
          now += pause;
          const model = slow[line]!;
          const [got, expected] =
            what === 'read'
              ? [lines.read(cpu, line * 16 + 2, now), model.read(cpu, now)]
              : [
                  lines.modify(cpu, line * 16 + 6, now, what === 'locked'),
                  model.modify(cpu, now, what === 'locked'),
                ];
          expect(got).toBe(expected);
        }
      }),
      { numRuns: 200 },
    );
  });
});
