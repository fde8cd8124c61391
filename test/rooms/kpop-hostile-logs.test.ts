/**
 * Random and nearly right DIRTY and WINDOW calls among MAPs, UNMAPs and PROTECTs, by three vCPUs of
 * L1 that write into each other's argument pages meanwhile: every answer is a documented one, and
 * at the end the entries, the reverse map and the labels are as they should be.
 */
import { afterEach, expect, it, vi } from 'vitest';
import {
  answerStatus,
  KpopCall,
  LIST_HEADER_BYTES,
  PROT_ALL,
  packTarget,
  Status,
} from '../../src/abi/kpop.ts';
import { DIRTY_CALL, DIRTY_LIMIT, DirtyMode } from '../../src/abi/kpop-dirty.ts';
import { WINDOW_CALL, WINDOW_LIMIT } from '../../src/abi/kpop-window.ts';
import { Random } from '../../src/base/random.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { type Body, type Caller, l1Runs } from './l1-caller.ts';

vi.mock('../../src/hypervisor/backing/anonymous.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'AnonymousBacking' as never),
);
vi.mock('../../src/hypervisor/mmu/kpop/space.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'Space' as never),
);
vi.mock('../../src/guest/l1/kpop.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'KpopGuest' as never),
);

afterEach(() => vi.restoreAllMocks());

const VCPUS = 3;
const CALLS = 1500;
const CALLED = [KpopCall.map, KpopCall.unmap, KpopCall.protect, DIRTY_CALL, WINDOW_CALL];
const EDGES = [0, 1, 31, 32, DIRTY_LIMIT, DIRTY_LIMIT + 1, 2 ** 18, 2 ** 40, 2 ** 53 - 1];

/** One call out of one source of chance. */
function* hostileCall(
  l1: Caller,
  random: Random,
  own: readonly number[],
  lists: readonly number[],
): Routine<readonly [operation: number, answer: number]> {
  const oneOf = <T>(all: readonly T[]): T => all[random.below(all.length)]!;
  const sane = (value: number): number => (random.below(30) === 0 ? oneOf(EDGES) : value);
  const operation = oneOf(CALLED);
  const first = sane(l1.scene.first + 40 * random.below(8));
  const pages = sane(1 + random.below(60));
  const target = packTarget(oneOf(own), random.below(3) === 0 ? random.below(8) : PROT_ALL);
  const modes = [...Object.values(DirtyMode), DirtyMode.on + 1, random.below(64)];
  const flags = operation === DIRTY_CALL ? oneOf(modes) : random.below(4);
  const elements: (readonly [number, number])[] = [
    operation === KpopCall.map
      ? [first, target]
      : [operation === KpopCall.protect ? packTarget(first % 2 ** 40, PROT_ALL) : first, pages],
    [target, 0],
  ];
  const header = { epoch: random.below(4), flags, join: sane(0), count: sane(1) };
  const at = random.below(4) === 0 ? oneOf(lists) : undefined;
  if (random.below(3) === 0) {
    const word = random.below((LIST_HEADER_BYTES + 32) / 8);
    l1.me.write(oneOf(lists) + word * 8, random.below(2) === 0 ? first : oneOf(EDGES));
  }
  const place = at === undefined ? {} : { at };
  return [operation, yield* l1.call(operation, elements, { ...header, ...place })];
}

it.each(['kpop', 'kpop:log=pml', 'kpop:log=protect'])('%s: hostile DIRTY and WINDOW', (design) => {
  const documented = new Set<number>(Object.values(Status));
  const met = new Set<string>();
  const lists: number[] = [];
  const body: Body = function* hostile(l1): Routine<void> {
    const own: number[] = [];
    for (let i = 0; i < 12; i++) own.push(yield* l1.page());
    lists.push((yield* l1.page()) * 4096);
    const random = new Random(7, l1.me.seat);
    for (let i = 0; i < CALLS; i++) {
      const [operation, answer] = yield* hostileCall(l1, random, own, lists);
      const status = answerStatus(answer);
      if (!documented.has(status)) throw new Error(`${operation} answered ${status}`);
      met.add(`${operation} ${status}`);
    }
  };
  const bodies = Array.from({ length: VCPUS }, () => body);
  const scene = l1Runs(bodies, design, { pages: '2m' }, { logs: true, windows: true });
  const windows = scene.space.windows!.peek(scene.host);
  expect(windows.length).toBeLessThanOrEqual(WINDOW_LIMIT);
  windows.forEach(({ first, end, opener }, i) => {
    expect([opener, first < end, first >= (windows[i - 1]?.end ?? 0)]).toEqual([0, true, true]);
  });
  for (const operation of CALLED) expect(met).toContain(`${operation} ${Status.ok}`);
  for (const status of [Status.invalid, Status.busy, Status.stale]) {
    expect(met).toContain(`${WINDOW_CALL} ${status}`);
  }
  expect(met).toContain(`${DIRTY_CALL} ${Status.invalid}`);
});
