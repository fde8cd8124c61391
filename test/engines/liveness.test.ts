/** Livelocks: programs that are known to have one or not, and a fixpoint as an oracle of others. */
import { expect, test } from 'vitest';
import { exploreLiveness } from '../../src/schedule/explore/liveness.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';
import { actorOf } from '../../src/schedule/explore/system.ts';
import { Toy } from './toy.ts';
import { philosophers } from './toy-known.ts';
import { randomLoops } from './toy-loops.ts';
import type { Instruction, Program } from './toy-program.ts';

const deep = 'KPOP_DEEP' in process.env;

const always = (by: number): Instruction => ({ op: 'branch', register: 2, equals: 0, by });

/** The first task waits by reading for ever, the second stores what it waits for. */
const awaited = (order: Program['order'], stores: boolean): Program => ({
  name: 'awaited',
  words: [0, 0],
  order,
  tasks: [
    [
      { op: 'load', word: 0, into: 0 },
      { op: 'branch', register: 0, equals: 0, by: -1 },
      { op: 'store', word: 1, from: 1 },
    ],
    stores ? [{ op: 'store', word: 0, from: 1 }] : [],
  ],
  eventually: [[{ word: 1, equals: 1 }]],
});

/** One task takes and leaves a lock for ever, the other wants it once. */
const starved: Program = {
  name: 'starved',
  words: [0, 0],
  order: 'sc',
  tasks: [
    [{ op: 'acquire', word: 0 }, { op: 'store', word: 0, from: 0 }, always(-2)],
    [
      { op: 'acquire', word: 0 },
      { op: 'store', word: 1, from: 1 },
      { op: 'store', word: 0, from: 0 },
    ],
  ],
  eventually: [[{ word: 1, equals: 1 }]],
};

/** As `starved`, but the tasks take turns (word 2), which the first gives away and gets back. */
const turns: Program = {
  ...starved,
  name: 'turns',
  words: [0, 0, 0],
  tasks: [
    [
      { op: 'wait', until: [{ word: 2, equals: 0 }] },
      { op: 'store', word: 2, from: 1 },
      always(-2),
    ],
    [
      { op: 'wait', until: [{ word: 2, equals: 1 }] },
      { op: 'store', word: 1, from: 1 },
      { op: 'store', word: 2, from: 0 },
      always(-3),
    ],
  ],
};

/** Each announces itself, and withdraws if the other has: both may withdraw for ever. */
const polite: Program = {
  name: 'polite',
  words: [0, 0, 0],
  order: 'sc',
  tasks: [0, 1].map((own): Instruction[] => [
    { op: 'store', word: own, from: 1 },
    { op: 'load', word: 1 - own, into: 0 },
    { op: 'branch', register: 0, equals: 0, by: 3 },
    { op: 'store', word: own, from: 0 },
    always(-4),
    { op: 'store', word: 2, from: 1 },
  ]),
  mayDeadlock: true,
  eventually: [[{ word: 2, equals: 1 }]],
};

const judge = (program: Program) => {
  const promises = (program.eventually ?? []).map((_, i) => `promise ${i}`);
  return exploreLiveness(new Toy(program), { promises });
};

/** Takes path and loop once more: the loop is closed, fair, and leaves the promise unfulfilled. */
function confirm(program: Program, { path, loop, message }: ReturnType<typeof judge>): void {
  const bit = Number(/promise (\d)/.exec(message)![1]);
  const toy = new Toy(program);
  for (const move of path.slice(0, loop)) toy.take(move);
  const start = [toy.hashLow, toy.hashHigh];
  const owed = new Set(Array.from({ length: toy.actors }, (_, actor) => actor));
  expect(path.length).toBeGreaterThan(loop);
  for (const move of path.slice(loop)) {
    expect((toy.fulfilled() >> bit) & 1).toBe(0);
    const can = new Set(toy.moves().map(actorOf));
    for (const actor of owed) if (!can.has(actor)) owed.delete(actor);
    owed.delete(actorOf(move));
    toy.take(move);
  }
  expect([toy.hashLow, toy.hashHigh]).toEqual(start);
  expect([...owed]).toEqual([]);
}

test('liveness: who waits is served if the other can always move', () => {
  expect(judge(awaited('sc', true)).verdict).toBe('holds');
  // The store reaches memory because its buffer, too, can always move.
  expect(judge(awaited('tso', true)).verdict).toBe('holds');
  expect(judge(turns).verdict).toBe('holds');
});

test('liveness: nobody stores, an unfair lock, too much politeness', () => {
  const waits = judge(awaited('sc', false));
  expect([waits.verdict, waits.path, waits.loop]).toEqual(['violated', [0], 0]);
  for (const program of [starved, polite]) {
    const report = judge(program);
    expect([program.name, report.verdict]).toEqual([program.name, 'violated']);
    expect(report.loop).toBeGreaterThanOrEqual(0);
    expect(report.message).toContain('promise 0: unfulfilled for ever');
    confirm(program, report);
  }
  expect(judge(starved).path).toEqual([0, 0]); // within: the other cannot while the lock is held
  expect(judge(polite).path.length - judge(polite).loop).toBe(6);
});

test('liveness: ends are judged before loops, and are loops of nothing', () => {
  expect(judge({ ...philosophers(2), eventually: [] }).message).toContain('deadlock');
  const idle: Program = { name: 'idle', words: [0], order: 'sc', tasks: [[]] };
  const report = judge({ ...idle, eventually: [[{ word: 0, equals: 1 }]] });
  expect([report.verdict, report.loop, report.path]).toEqual(['violated', -1, []]);
  expect(report.message).toContain('when nothing moves any more');
});

test('liveness: bounds leave it unfinished, and the system where it was', () => {
  const toy = new Toy(turns);
  const before = [toy.hashLow, toy.hashHigh, toy.depth];
  const promises = ['progress'];
  expect(exploreLiveness(toy, { promises, steps: 3 }).verdict).toBe('unfinished');
  expect(exploreLiveness(toy, { promises, isOver: () => true }).steps).toBe(0);
  const { verdict, states, edges, steps } = exploreLiveness(toy, { promises });
  expect([verdict, edges, states]).toEqual(['holds', steps, exploreStateful(toy).states]);
  expect([toy.hashLow, toy.hashHigh, toy.depth]).toEqual(before);
});

interface Edge {
  readonly actor: number;
  readonly to: string;
}

/** States by hash, with their moves and promises. */
function graphOf(program: Program): Map<string, { edges: Edge[]; fulfilled: number }> {
  const toy = new Toy(program);
  const graph = new Map<string, { edges: Edge[]; fulfilled: number }>();
  const visit = (): string => {
    const key = `${toy.hashLow} ${toy.hashHigh}`;
    if (graph.has(key)) return key;
    const edges: Edge[] = [];
    graph.set(key, { edges, fulfilled: toy.fulfilled() });
    for (const move of [...toy.moves()]) {
      toy.take(move);
      edges.push({ actor: actorOf(move), to: visit() });
      toy.undo();
    }
    return key;
  };
  visit();
  return graph;
}

/**
 * Whether some weakly fair execution leaves a promise unfulfilled for ever (Emerson and Lei, 1986):
 * the largest set of unfulfilled states from each of which, for each actor, a step or more within
 * the set leads to where the actor cannot move or has just moved. `fair: false` drops the actors.
 */
function mayStarve(graph: ReturnType<typeof graphOf>, bit: number, actors: number, fair: boolean) {
  const within = new Set([...graph.keys()].filter((s) => !((graph.get(s)!.fulfilled >> bit) & 1)));
  const stays = (s: string): Edge[] => graph.get(s)!.edges.filter(({ to }) => within.has(to));
  const reaching = (isGoal: (state: string) => boolean): Set<string> => {
    const good = new Set([...within].filter(isGoal));
    for (let before = -1; good.size > before; ) {
      before = good.size;
      for (const s of within) if (stays(s).some(({ to }) => good.has(to))) good.add(s);
    }
    return good;
  };
  for (let before = -1; within.size !== before; ) {
    before = within.size;
    for (const s of [...within]) if (stays(s).length === 0) within.delete(s);
    for (let actor = 0; fair && actor < actors; actor++) {
      const good = reaching((s) => {
        if (stays(s).some((edge) => edge.actor === actor)) return true;
        return graph.get(s)!.edges.every((edge) => edge.actor !== actor);
      });
      for (const s of [...within]) if (!good.has(s)) within.delete(s);
    }
  }
  return within.size > 0;
}

test('liveness: on random loops it agrees with the fixpoint of Emerson and Lei', () => {
  const count = { compared: 0, livelocks: 0, unfair: 0 };
  for (let seed = 0; seed < (deep ? 6000 : 400); seed++) {
    const program = randomLoops(seed);
    if (exploreStateful(new Toy(program), { steps: 400 }).verdict !== 'holds') continue;
    const graph = graphOf(program);
    const { actors } = new Toy(program);
    for (const [bit, promise] of program.eventually!.entries()) {
      const states = [...graph.values()];
      const endsBadly = states.some((s) => s.edges.length === 0 && !((s.fulfilled >> bit) & 1));
      const loops = mayStarve(graph, bit, actors, true);
      const report = judge({ ...program, eventually: [promise] });
      expect([seed, bit, report.verdict]).toEqual([
        seed,
        bit,
        endsBadly || loops ? 'violated' : 'holds',
      ]);
      expect(report.states).toBe(graph.size);
      if (report.loop >= 0) confirm({ ...program, eventually: [promise] }, report);
      count.compared++;
      if (report.loop >= 0) count.livelocks++;
      if (!endsBadly && !loops && mayStarve(graph, bit, actors, false)) count.unfair++;
    }
  }
  expect(count.compared).toBeGreaterThan(deep ? 6000 : 400);
  expect(count.livelocks).toBeGreaterThan(count.compared / 10);
  // Promises that only fairness keeps: an engine that forgot it would be seen.
  expect(count.unfair).toBeGreaterThan(count.compared / 50);
});
