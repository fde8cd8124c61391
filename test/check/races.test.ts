/**
 * The happens-before detector: each edge that it knows orders a hand-over of plain words, and
 * without the edge the same hand-over is a race; the built-in designs have none, and their locks
 * made relaxed do.
 */
import { describe, expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { watchRaces } from '../../src/experiment/check/races.ts';
import { replay } from '../../src/experiment/check/replay.ts';
import { runPiece } from '../../src/experiment/check/run-piece.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import { readSchedule } from '../../src/experiment/check/schedule.ts';
import { litmusPrograms } from '../../src/litmus/index.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { Weakening } from '../../src/machine/explored/weakening.ts';
import { sendIpi, zeroFrame } from '../../src/machine/instruction.ts';
import { num, type Order, type Routine, won } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import { explorePlain } from '../../src/schedule/explore/plain.ts';
import { walkAtRandom } from '../../src/schedule/explore/random.ts';
import { exploreReduced } from '../../src/schedule/explore/reduced.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';
import { lock, spinlock, unlock } from '../../src/sync/spinlock.ts';
import { type Body, type Little, type LittleOptions, little } from './little.ts';

/** The race that every engine finds, or '' if none does. */
function raceIn(bodies: readonly Body[], options: LittleOptions = {}): string {
  const watched = (): ReturnType<typeof watchRaces> =>
    watchRaces(little(bodies, options), 'clocks');
  const found = [
    explorePlain(watched()).message,
    exploreReduced(watched()).message,
    exploreStateful(watched()).message,
    exploreStateful(watched(), { sleep: true }).message,
  ];
  expect(new Set(found.map((message) => message === '')).size).toBe(1);
  return found[0]!;
}

/** One CPU writes plainly, then says so; the other reads plainly once it was told. */
function told(say: Body, hear: (cpu: Context, at: Little) => Routine<boolean>): readonly Body[] {
  return [
    function* sender(cpu, at): Routine<void> {
      cpu.write(at.data, 7);
      yield* say(cpu, at);
    },
    function* receiver(cpu, at): Routine<void> {
      if (yield* hear(cpu, at)) cpu.read(at.data);
    },
  ];
}

function store(order: Order): Body {
  return function* say(cpu, at): Routine<void> {
    yield cpu.store(at.flag, 1, 'test.say', order);
  };
}

function load(order: Order): (cpu: Context, at: Little) => Routine<boolean> {
  return function* hear(cpu, at): Routine<boolean> {
    return num(yield cpu.load(at.flag, 'test.hear', order)) === 1;
  };
}

describe('a plain word that one CPU hands to another', () => {
  test.each([
    ['release', 'acquire', false],
    ['relaxed', 'acquire', true],
    ['release', 'relaxed', true],
    ['relaxed', 'relaxed', true],
  ] as const)('by a %s store and an %s load: race %s', (say, hear, races) => {
    const message = raceIn(told(store(say), load(hear)));
    if (!races) return expect(message).toBe('');
    expect(message).toBe(
      'memory.race: little.data: cpu0 plainly wrote it between the beginning and test.say, ' +
        'cpu1 plainly read it between test.hear and the end, and nothing orders the two',
    );
  });

  test('by relaxed accesses with fences around them is ordered; with one fence it is not', () => {
    const say: Body = function* fenced(cpu, at): Routine<void> {
      yield cpu.fence('test.say.fence');
      yield cpu.store(at.flag, 1, 'test.say', 'relaxed');
    };
    function* hear(cpu: Context, at: Little): Routine<boolean> {
      const isTold = num(yield cpu.load(at.flag, 'test.hear', 'relaxed')) === 1;
      yield cpu.fence('test.hear.fence');
      return isTold;
    }
    expect(raceIn(told(say, hear))).toBe('');
    expect(raceIn(told(say, load('relaxed')))).toMatch(/^memory.race: little.data/);
    expect(raceIn(told(store('relaxed'), hear))).toMatch(/^memory.race: little.data/);
    const weaken: Weakening[] = [{ label: 'test.hear.fence', how: 'drop' }];
    expect(raceIn(told(say, hear), { weaken })).toMatch(/^memory.race/);
  });

  test('through a third CPU that adds to the flag with a locked operation is ordered', () => {
    const [sender] = told(store('release'), load('acquire'));
    const adds: Body = function* add(cpu, at): Routine<void> {
      yield cpu.add(at.flag, 1, 'test.add');
    };
    const hears: Body = function* hear(cpu, at): Routine<void> {
      if (num(yield cpu.load(at.flag, 'test.hear')) === 2) cpu.read(at.data);
    };
    expect(raceIn([sender!, adds, hears])).toBe('');
    // Its own order taken away, the addition still continues the release that it adds to.
    const weaken: Weakening[] = [{ label: 'test.add', how: 'relaxed' }];
    expect(raceIn([sender!, adds, hears], { weaken })).toBe('');
    const stores: Body = function* overwrite(cpu, at): Routine<void> {
      yield cpu.store(at.flag, 2, 'test.add');
    };
    expect(raceIn([sender!, stores, hears])).toMatch(/^memory.race/);
  });

  test('by waiting is ordered', () => {
    function* hear(cpu: Context, at: Little): Routine<boolean> {
      yield cpu.wait([at.flag], () => cpu.peek(at.flag) === 1, 'test.wait');
      return true;
    }
    expect(raceIn(told(store('release'), hear))).toBe('');
    expect(raceIn(told(store('relaxed'), hear))).toMatch(/^memory.race/);
    const weaken: Weakening[] = [{ label: 'test.wait', how: 'drop' }];
    expect(raceIn(told(store('release'), hear), { weaken })).toMatch(/^memory.race/);
  });

  test('under TSO a store releases what came before it, not what came before it leaves', () => {
    const bodies = (isLate: boolean): readonly Body[] => [
      function* sender(cpu, at): Routine<void> {
        if (!isLate) cpu.write(at.data, 7);
        yield cpu.store(at.flag, 1, 'test.say');
        if (isLate) cpu.write(at.data, 7);
        yield cpu.fence('test.fence');
      },
      function* receiver(cpu, at): Routine<void> {
        if (num(yield cpu.load(at.flag, 'test.hear')) === 1) cpu.read(at.data);
      },
    ];
    for (const order of ['sc', 'tso'] as const) {
      expect(raceIn(bodies(false), { order })).toBe('');
      expect(raceIn(bodies(true), { order })).toMatch(/^memory.race/);
    }
  });

  test('by an interrupt is ordered, unless it is written after the interrupt was sent', () => {
    const VECTOR = 0x40;
    const boot = ({ machine, data }: Little): void => {
      machine.hostVectors.set(VECTOR, function* handle(_cpu, host): Routine<void> {
        host.read(data);
      });
    };
    const bodies = (isLate: boolean): readonly Body[] => [
      function* sender(cpu, at): Routine<void> {
        if (!isLate) cpu.write(at.data, 7);
        yield sendIpi(cpu, 1, VECTOR, 'test.kick');
        if (isLate) cpu.write(at.data, 7);
      },
      function* receiver(cpu): Routine<void> {
        yield cpu.fence('test.idle');
      },
    ];
    expect(raceIn(bodies(false), { boot })).toBe('');
    expect(raceIn(bodies(true), { boot })).toMatch(/^memory.race/);
  });
});

describe('accesses of other kinds', () => {
  const mixed = (one: Body, other: Body): string => raceIn([one, other]);
  const loads: Body = function* load(cpu, at): Routine<void> {
    yield cpu.load(at.data, 'test.load');
  };
  const stores: Body = function* store(cpu, at): Routine<void> {
    yield cpu.store(at.data, 1, 'test.store');
  };
  const reads: Body = function* read(cpu, at): Routine<void> {
    cpu.read(at.data);
    yield cpu.fence('test.fence');
  };
  const writes: Body = function* write(cpu, at): Routine<void> {
    cpu.write(at.data, 1);
    yield cpu.fence('test.fence');
  };
  const zeroes: Body = function* zero(cpu, at): Routine<void> {
    yield zeroFrame(cpu, at.frame, 'test.zero');
  };
  const uses: Body = function* use(cpu, at): Routine<void> {
    yield cpu.load(at.frame * 4096 + 8, 'test.use');
  };

  test('atomic against atomic, and reads against reads, are no races', () => {
    expect([mixed(loads, stores), mixed(stores, stores)]).toEqual(['', '']);
    expect([mixed(reads, reads), mixed(reads, loads)]).toEqual(['', '']);
  });

  test('plain against atomic is one if either writes', () => {
    expect(mixed(writes, loads)).toMatch(/cpu0 plainly wrote it .* cpu1 read it at test.load/);
    expect(mixed(reads, stores)).toMatch(/cpu0 plainly read it .* cpu1 wrote it at test.store/);
    expect(mixed(writes, stores)).toMatch(/^memory.race/);
    expect(mixed(writes, writes)).toMatch(/cpu0 plainly wrote it .* cpu1 plainly wrote it/);
  });

  test('zeroing a frame writes all of it', () => {
    expect(mixed(zeroes, uses)).toMatch(/^memory.race: word 1 of frame 0x9: cpu0 plainly wrote/);
    expect(mixed(uses, zeroes)).toMatch(/^memory.race/);
    expect(mixed(zeroes, zeroes)).toMatch(/^memory.race: word 0 of frame 0x9/);
  });
});

describe('locks', () => {
  const counts: Body = function* count(cpu, at): Routine<void> {
    const l = spinlock(at.lock, 'kpop.vm');
    yield* lock(cpu, l, 'test.lock');
    cpu.write(at.data, cpu.read(at.data) + 1);
    yield* unlock(cpu, l, 'test.unlock');
  };

  test.each(['sc', 'tso'] as const)('a spinlock hands over what it protects: %s', (order) => {
    expect(raceIn([counts, counts], { order })).toBe('');
  });

  test.each([
    ['test.lock', 'relaxed'],
    ['test.unlock', 'relaxed'],
    ['test.lock', 'drop'],
  ] as const)('%s %s does not', (label, how) => {
    expect(raceIn([counts, counts], { weaken: [{ label, how }] })).toMatch(
      /^memory.race: little.data/,
    );
  });

  test('a lock taken by compare-and-swap does too, and one that failed read nothing', () => {
    const tries: Body = function* attempt(cpu, at): Routine<void> {
      if (!won(yield cpu.cas(at.lock, 0, 1, 'test.try'))) return;
      cpu.write(at.data, cpu.read(at.data) + 1);
      yield cpu.store(at.lock, 0, 'test.leave');
    };
    expect(raceIn([tries, tries])).toBe('');
    const weaken: Weakening[] = [{ label: 'test.leave', how: 'relaxed' }];
    expect(raceIn([tries, tries], { weaken })).toMatch(/^memory.race/);
  });
});

test('a race that needs another way to a state seen before is found by clocks only', () => {
  // What CPU 1 heard first orders, or does not; it forgets it, so that the words are the same.
  const bodies: readonly Body[] = [
    function* writer(cpu, at): Routine<void> {
      cpu.write(at.data, 7);
      yield cpu.store(at.flag, 1, 'test.say');
    },
    function* reader(cpu, at): Routine<void> {
      yield cpu.load(at.flag, 'test.hear');
      cpu.rest(1, 0);
      const isTold = num(yield cpu.load(at.flag, 'test.look', 'relaxed')) === 1;
      if (isTold) cpu.read(at.data);
    },
  ];
  const search = (merge: 'words' | 'clocks'): string =>
    exploreStateful(watchRaces(little(bodies), merge)).message;
  expect(search('words')).toBe('');
  expect(search('clocks')).toMatch(/^memory.race/);
});

test('kpop check finds the race that a relaxed lock leaves, and its schedule replays to it', () => {
  const guard = { label: 'tdp.fault.lock', how: 'relaxed' } as const;
  const bounds = { steps: 100_000, goal: 'all', entries: 2, seed: 1 } as const;
  const piece = { choice: 'tdp', litmus: 'fault-unmap', memory: 'sc', guard, bounds } as const;
  const choice = parseDesign('tdp');
  const origin = { design: 'tdp', code: '' };
  const task = { piece, choice, origin, isBuiltIn: true, isOver: () => false };
  const { result } = runPiece(task);
  expect([result.verdict, result.promise]).toEqual(['violated', 'memory.race']);
  expect(result.message).toMatch(/^kvm.mmu.hullFirst: cpu1 plainly wrote it .* cpu0 plainly read/);
  const litmus = litmusPrograms.find(({ id }) => id === 'fault-unmap')!;
  const scene = buildScene({ choice, litmus, order: 'sc', weaken: [guard], entries: 2 });
  const { names } = readSchedule(result.schedule);
  expect(replay(scene, names).message).toBe(`memory.race: ${result.message}`);
  expect(names).toHaveLength(result.length);
});

describe('built-in designs', () => {
  const scene = (
    design: string,
    id: string,
    order: MemoryOrder,
    weaken: readonly Weakening[] = [],
  ): ReturnType<typeof buildScene> => {
    const litmus = litmusPrograms.find((each) => each.id === id)!;
    return buildScene({ choice: parseDesign(design), litmus, order, weaken, entries: 2 });
  };

  test.each([
    ['tdp', 'fault-unmap', 'sc'],
    ['tdp', 'remove-fault', 'tso'],
    ['kpop', 'map-invalidate', 'sc'],
    ['kpop', 'map-unmap', 'tso'],
    ['kpop:lock=vm', 'map-move', 'sc'],
  ] as const)('%s %s %s: no race, exhausted', (design, id, order) => {
    const report = exploreStateful(watchRaces(scene(design, id, order), 'clocks'));
    expect([report.message, report.verdict, report.exhausted]).toEqual(['', 'holds', true]);
  });

  test.each([
    ['tdp', 'write-unmap'],
    ['tdp', 'write-leave-unmap'],
    ['tdp', 'write-teardown'],
    ['kpop', 'write-unmap'],
    ['kpop', 'write-unmap-invalidate'],
  ] as const)('%s %s: random walks meet no race', (design, id) => {
    for (const order of ['sc', 'tso'] as const) {
      const watched = watchRaces(scene(design, id, order), 'words');
      expect(walkAtRandom(watched, { seed: 1, runs: 20, depth: 2000 }).message).toBe('');
    }
  });

  test.each([
    ['tdp', 'fault-unmap', 'tdp.unmap.lock', 'drop', 'kvm.mmu.hullFirst'],
    ['tdp', 'fault-unmap', 'tdp.fault.lock', 'drop', 'kvm.mmu.hullFirst'],
    ['tdp', 'fault-unmap', 'tdp.fault.lock', 'relaxed', 'kvm.mmu.hullFirst'],
    ['kpop', 'map-invalidate', 'kpop.rmap.locked', 'relaxed', 'word 2 of frame'],
    ['kpop', 'map-invalidate', 'kpop.rmap.unlock', 'relaxed', 'word 0 of frame'],
  ] as const)('%s %s: %s made %s is a race', (design, id, label, how, word) => {
    const watched = watchRaces(scene(design, id, 'sc', [{ label, how }]), 'words');
    const isWanted = (message: string): boolean => message.startsWith('memory.race');
    const { message } = exploreStateful(watched, { isWanted });
    expect(message).toContain(`memory.race: ${word}`);
  });
});
