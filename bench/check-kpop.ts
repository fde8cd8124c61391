/**
 * The rows of kpop's own engines in `npm run bench:check`: the scene of bench/shootdown.ts,
 * explored by the stateful engine, and by the reduced stateless one where that ends in time.
 * `in all` adds the building of the system; Node has started before and compiles while it runs.
 */
import { fixedSpaces, HostileHardware } from '../src/machine/explored/adversary.ts';
import { FREE } from '../src/machine/explored/free.ts';
import { ExploredHart } from '../src/machine/explored/hart.ts';
import { TapeMemory } from '../src/machine/explored/memory.ts';
import { Notes } from '../src/machine/explored/notes.ts';
import { ExploredTlb } from '../src/machine/explored/tlb.ts';
import type { World } from '../src/machine/explored/world.ts';
import { ept } from '../src/machine/format/ept.ts';
import { Machine } from '../src/machine/machine.ts';
import { FRAME_HALVES, Tape } from '../src/runtime/hart.ts';
import { Harts } from '../src/schedule/explore/harts.ts';
import type { Judgement } from '../src/schedule/explore/harts-options.ts';
import { exploreReduced } from '../src/schedule/explore/reduced.ts';
import { exploreStateful } from '../src/schedule/explore/stateful.ts';
import type { Bounds, Report } from '../src/schedule/explore/system.ts';
import { LOCK_CLASSES } from '../src/sync/lock-class.ts';
import { nameOf, type Row, type Size } from './check-row.ts';
import { buildShootdown, GEOMETRY, type Shootdown } from './shootdown.ts';

const FRAMES = 128;
const ORDER = {
  rankOf: (kind: number): number => kind,
  nameOf: (kind: number): string => LOCK_CLASSES[kind]!,
};

interface Copy extends World {
  readonly scene: Shootdown;
}

type Engine = readonly [string, (harts: Harts, bounds: Bounds) => Report];

const ENGINES: readonly Engine[] = [
  ['kpop, stateful', (harts, bounds) => exploreStateful(harts, bounds)],
  [
    'kpop, stateful, sleep sets',
    (harts, bounds) => exploreStateful(harts, { ...bounds, sleep: true }),
  ],
  ['kpop, reduced, stateless', (harts, bounds) => exploreReduced(harts, bounds)],
];

/** Explores the scene in every size; one row for each engine, `seconds` at most each. */
export function kpopRows(sizes: readonly Size[], seconds: number): Row[] {
  return sizes.flatMap((size) => ENGINES.map((engine) => rowOf(size, engine, seconds)));
}

function rowOf(size: Size, [name, explore]: Engine, seconds: number): Row {
  const before = performance.now();
  const harts = buildHarts(size);
  const begun = performance.now();
  const isOver = (): boolean => performance.now() - begun > seconds * 1000;
  const report = explore(harts, { isOver });
  const ended = performance.now();
  return {
    size: nameOf(size),
    engine: name,
    verdict: report.verdict,
    executions: report.executions,
    states: report.states,
    transitions: report.steps,
    seconds: (ended - begun) / 1000,
    totalSeconds: (ended - before) / 1000,
  };
}

function buildHarts(size: Size): Harts {
  const scratch = new Int32Array(FRAMES * FRAME_HALVES);
  const { memory, machine, scene } = buildCopy(size, scratch);
  const words = scratch.slice();
  memory.show(words);
  const spaces = fixedSpaces(machine.translator.secondStage, [scene.root]);
  const hardware = new HostileHardware(words, spaces);
  return new Harts({
    words,
    harts: machine.cpus.length,
    build: (hart) => {
      scratch.fill(0);
      const options = { order: 'sc', weaken: [], hardware } as const;
      return new ExploredHart(buildCopy(size, scratch), hart, new Tape(words), options);
    },
    adversary: hardware,
    judgement: nobodyTouchesWhatIsFree(scene, words),
  });
}

function buildCopy(size: Size, scratch: Int32Array): Copy {
  const memory = new TapeMemory(scratch);
  const cpus = size.vcpus + size.unmappers;
  const notes = new Notes(cpus, ORDER, new Set());
  const secondStage = ept(GEOMETRY, { accessDirty: false });
  const tlb = (): ExploredTlb => new ExploredTlb();
  const machine = new Machine({ preset: FREE, cpus, trace: notes, memory, tlb, secondStage });
  const scene = buildShootdown(machine, size);
  const privates = (hart: number): readonly object[] =>
    scene.vm.vcpus.filter((v) => v.seat === hart);
  return { machine, memory, notes, scene, privates, roots: [scene.root] };
}

function nobodyTouchesWhatIsFree({ frames, freedAt }: Shootdown, words: Int32Array): Judgement {
  const isFree = (frame: number): boolean =>
    frame >= frames.first && frame < frames.first + frames.count && words[freedAt(frame) / 4] === 1;
  return {
    always: ({ lastFrames }) =>
      lastFrames.some(isFree) ? 'frame.free: a frame was touched that is free' : undefined,
    atRest: () => undefined,
  };
}
