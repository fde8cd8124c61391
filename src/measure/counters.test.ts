/**
 * The counter law: every counter equals a count of trace events. Streams are generated, and counted
 * again here in the plainest way.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Event } from '../runtime/trace.ts';
import { Counters } from './counters.ts';

interface Happened {
  readonly kind: number;
  readonly cpu: number;
  readonly cycle: number;
  readonly a: number;
  readonly b: number;
}

const CPUS = 3;
const EXIT_NAMES = { 10: 'CPUID', 18: 'VMCALL', 48: 'EPT_VIOLATION' };
const LOCK_NAMES = ['one', 'two'];

function counted(events: readonly Happened[], participants = CPUS): Counters {
  const options = { cpus: CPUS, participants, exitNames: EXIT_NAMES, lockNames: LOCK_NAMES };
  const counters = new Counters(options);
  for (const e of events) counters.event(e.kind, e.cpu, e.cycle, e.a, e.b);
  return counters;
}

const cpu = fc.nat(CPUS - 1);
const size = fc.nat(5000);
const plainKinds = [
  Event.hypercall,
  Event.ipi,
  Event.flush,
  Event.zero,
  Event.copy,
  Event.fault,
  Event.guestFault,
  Event.operation,
  Event.nested,
  Event.userspace,
  Event.mark,
];
const single = fc
  .tuple(fc.constantFrom(...plainKinds), cpu, size, size)
  .map(([kind, on, a, b]) => [{ kind, cpu: on, a, b }]);
const roundTrip = fc
  .tuple(cpu, fc.constantFrom(10, 18, 48, 99), fc.constantFrom(1, 2))
  .map(([on, a, b]) => [
    { kind: Event.exit, cpu: on, a, b },
    { kind: Event.entry, cpu: on, a, b },
  ]);
const locked = fc.tuple(cpu, fc.nat(LOCK_NAMES.length - 1), fc.nat(1)).map(([on, a, b]) => [
  { kind: Event.want, cpu: on, a, b: 0 },
  { kind: Event.acquire, cpu: on, a, b },
  { kind: Event.release, cpu: on, a, b: 0 },
]);
const part = fc.array(fc.oneof(single, roundTrip, locked), { maxLength: 60 });
const gaps = fc.infiniteStream(fc.nat(1000));
const edge = (kind: number) =>
  [0, 1, 2].map((on) => [{ kind, cpu: on, a: 0, b: 0 }] as Omit<Happened, 'cycle'>[]);

/** Set-up, the measured part between all begins and all ends, and what follows; time only grows. */
const stream = fc.tuple(part, part, part, gaps).map(([before, during, after, gap]) => {
  let cycle = 0;
  const groups = [before, edge(Event.begin), during, edge(Event.end), after].flat(2);
  return groups.map((e): Happened => {
    cycle += gap.next().value!;
    return { ...e, cycle };
  });
});

/** The measured part by position, counted by hand. */
function measured(events: readonly Happened[]): readonly Happened[] {
  const kinds = events.map((e) => e.kind);
  return events.slice(kinds.lastIndexOf(Event.begin) + 1, kinds.lastIndexOf(Event.end));
}

const total = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n, 0);

test('counters: every count equals a count of events in the measured part', () => {
  fc.assert(
    fc.property(stream, (events) => {
      const result = counted(events).result();
      const inside = measured(events);
      const of = (kind: number): readonly Happened[] => inside.filter((e) => e.kind === kind);
      expect(result.counts).toEqual({
        exits: of(Event.exit).length,
        nested: of(Event.nested).length,
        hypercalls: of(Event.hypercall).length,
        userspace: of(Event.userspace).length,
        ipis: of(Event.ipi).length,
        flushes: of(Event.flush).length,
        pagesZeroed: of(Event.zero).length,
        pagesCopied: of(Event.copy).length,
        copyBytes: total(of(Event.copy).map((e) => e.b)),
      });
      expect(result.switches.vmx).toBe(of(Event.exit).length);
      expect(result.switches.nest).toBe(of(Event.nested).length);
      expect(result.switches.uexit).toBe(of(Event.userspace).length);
      expect(result.operations).toBe(total(of(Event.operation).map((e) => e.a)));
      expect(result.latency.count).toBe(of(Event.fault).length);
      expect(result.latency.max).toBe(Math.max(0, ...of(Event.fault).map((e) => e.a)));
      expect(result.guestFaultLatency.count).toBe(of(Event.guestFault).length);
    }),
  );
});

test('counters: exits by reason sum up to the exits and to the time until the next entry', () => {
  fc.assert(
    fc.property(stream, (events) => {
      const result = counted(events).result();
      const inside = measured(events);
      const exits = inside.filter((e) => e.kind === Event.exit);
      const entries = inside.filter((e) => e.kind === Event.entry);
      expect(total(result.exitsByReason.map((row) => row.count))).toBe(exits.length);
      const cycles = total(entries.map((e) => e.cycle)) - total(exits.map((e) => e.cycle));
      expect(total(result.exitsByReason.map((row) => row.cycles))).toBe(cycles);
      for (const row of result.exitsByReason) {
        const same = exits.filter((e) => row.level === e.b && nameOf(e.a) === row.reason);
        expect(row.count).toBe(same.length);
      }
    }),
  );
});

function nameOf(reason: number): string {
  return (EXIT_NAMES as Record<number, string>)[reason] ?? `REASON_${reason}`;
}

test('counters: lock counts equal counts of events', () => {
  fc.assert(
    fc.property(stream, (events) => {
      const { locks } = counted(events).result();
      const inside = measured(events);
      LOCK_NAMES.forEach((name, kind) => {
        const taken = inside.filter((e) => e.kind === Event.acquire && e.a === kind);
        const found = locks.find((lock) => lock.name === name);
        expect(found?.acquisitions ?? 0).toBe(taken.length);
        expect(found?.contended ?? 0).toBe(taken.filter((e) => e.b === 1).length);
        const spans = inside.flatMap((e, i) => (taken.includes(e) ? [[inside[i - 1]!, e]] : []));
        const waits = spans.filter(([, e]) => e!.b === 1).map(([w, e]) => e!.cycle - w!.cycle);
        expect(found?.waitCycles ?? 0).toBe(total(waits));
        expect(found?.maxWaitCycles ?? 0).toBe(Math.max(0, ...waits));
      });
    }),
  );
});

test('counters: the duration goes from the latest begin to the latest end', () => {
  fc.assert(
    fc.property(stream, (events) => {
      const at = (kind: number): number =>
        Math.max(...events.filter((e) => e.kind === kind).map((e) => e.cycle));
      expect(counted(events).result().cycles).toBe(at(Event.end) - at(Event.begin));
    }),
  );
});

const happened = (kind: number, on: number, cycle: number, a = 0, b = 0): Happened => ({
  kind,
  cpu: on,
  cycle,
  a,
  b,
});

test('counters: before the end they answer up to the latest event', () => {
  const counters = counted([happened(Event.begin, 0, 100), happened(Event.ipi, 0, 250)], 1);
  expect(counters.complete).toBe(false);
  expect(counters.result()).toMatchObject({ cycles: 150, counts: { ipis: 1 } });
});

test('counters: nothing counts before all participants have begun', () => {
  const counters = counted([
    happened(Event.begin, 0, 100),
    happened(Event.exit, 0, 120, 48, 2),
    happened(Event.begin, 1, 150),
    happened(Event.begin, 2, 140),
    happened(Event.entry, 0, 200, 48, 2),
  ]);
  expect(counters.result()).toMatchObject({ cycles: 50, exitsByReason: [], counts: { exits: 0 } });
});

test('counters: an exit after which nothing is entered counts without cycles', () => {
  const events = [
    happened(Event.begin, 0, 0),
    happened(Event.exit, 0, 10, 18, 1),
    happened(Event.end, 0, 50),
  ];
  const { exitsByReason } = counted(events, 1).result();
  expect(exitsByReason).toEqual([{ reason: 'VMCALL', level: 1, count: 1, cycles: 0 }]);
});

test('counters: a participant too many, and an end without a begin, are defects', () => {
  const begin = happened(Event.begin, 0, 0);
  expect(() => counted([begin, begin], 1)).toThrow(/more than 1 participants/);
  expect(() => counted([happened(Event.end, 0, 0)], 1)).toThrow(/did not begin/);
});
