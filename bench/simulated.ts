/**
 * The simulator by figures: TLB hits, trace lines, page faults and acts per second of one core, and
 * what a machine of 512 vCPUs costs in memory. Every run is a whole system from boot to the end, as
 * `kpop run` builds it, with counters and without a digest. A rate of faults counts the measured
 * part only, from the first vCPU's begin to the last one's end; a rate of acts the whole run.
 */
import { loadTrace } from '../src/cli/trace-file.ts';
import { assemble, cpusFor, traceNames } from '../src/design/assemble.ts';
import { kpop } from '../src/design/kpop.ts';
import { nested } from '../src/design/nested.ts';
import type { Design, System } from '../src/design/system.ts';
import { tdp } from '../src/design/tdp.ts';
import type { Process } from '../src/guest/common/process.ts';
import { refault, touch } from '../src/guest/program/basic.ts';
import {
  type Environment,
  guestBody,
  hostBody,
  type Program,
} from '../src/guest/program/environment.ts';
import { recorded } from '../src/guest/program/recorded.ts';
import { type AccessLines, replay, writes } from '../src/guest/program/replay.ts';
import { READ } from '../src/machine/format/judge.ts';
import { intelCascadeLake } from '../src/machine/preset/intel-cascade-lake.ts';
import { Tlb } from '../src/machine/tlb.ts';
import { Counters } from '../src/measure/counters.ts';
import type { Routine } from '../src/runtime/act.ts';
import { Event, type TraceSink } from '../src/runtime/trace.ts';
import { runTimed } from '../src/schedule/timed.ts';
import { recordingOf } from '../src/workload/recording.ts';

export interface BenchResult {
  readonly name: string;
  readonly perSecond: number;
  readonly unit: string;
}

/** How much is simulated: `quick` only shows that everything runs. */
export type Size = 'full' | 'quick';

/** V8 goes on compiling for three or four rounds: the best of fewer is of its warming up. */
const ROUNDS = { full: 6, quick: 1 } as const;
const SPARE_PAGES = 64;

interface Exam {
  readonly design: Design;
  readonly vcpus: number;
  readonly pages: number;
  readonly program: Program;
  /** Guest frames that the host takes away before the measured part. */
  readonly withdrawn?: readonly number[];
}

/** Wall-clock time of the measured part, taken where its events pass. */
class Stopwatch implements TraceSink {
  seconds = 0;
  readonly #next: TraceSink;
  #began = 0;

  constructor(next: TraceSink) {
    this.#next = next;
  }

  event(kind: number, cpu: number, cycle: number, a: number, b: number): void {
    if (kind === Event.begin && this.#began === 0) this.#began = performance.now();
    if (kind === Event.end) this.seconds = (performance.now() - this.#began) / 1000;
    this.#next.event(kind, cpu, cycle, a, b);
  }
}

function build(exam: Exam): { system: System; watch: Stopwatch } {
  const { design, vcpus, pages, program, withdrawn } = exam;
  const hostThreads = withdrawn === undefined ? 0 : 1;
  const demand = { vcpus, pagesPerVcpu: pages + SPARE_PAGES, stride: 1, hostThreads };
  const cpus = cpusFor(demand);
  const names = { exitNames: traceNames.exits, lockNames: traceNames.locks };
  const axes = Object.fromEntries(
    Object.entries(design.axes).map(([name, axis]) => [name, axis.default]),
  );
  const watch = new Stopwatch(new Counters({ cpus, participants: vcpus, ...names }));
  const system = assemble(
    { name: design.id, design, axes },
    {
      preset: intelCascadeLake,
      cpus,
      trace: watch,
      softwareScale: 1,
      demand,
      conditions: { l1: 'warm', apicv: 'on', pages: '4k' },
    },
  );
  for (const env of system.environments) env.cpu.push(guestBody(env, program));
  if (withdrawn !== undefined) {
    system.machine.hostThread(vcpus, 'host', (me) =>
      hostBody(me, vcpus, (cpu) => system.hostInvalidate(cpu, withdrawn)),
    );
  }
  return { system, watch };
}

interface Timing {
  /** Of the whole run, and of its measured part. */
  readonly seconds: number;
  readonly measured: number;
  /** Acts of the whole run. */
  readonly steps: number;
}

/** Seconds that the scheduler takes, the best of some rounds, and the acts that it performs. */
function simulate(size: Size, exam: () => Exam): Timing {
  let seconds = Number.POSITIVE_INFINITY;
  let measured = Number.POSITIVE_INFINITY;
  let steps = 0;
  for (let round = 0; round < ROUNDS[size]; round++) {
    const { system, watch } = build(exam());
    const begin = performance.now();
    const result = runTimed(system.machine);
    seconds = Math.min(seconds, (performance.now() - begin) / 1000);
    measured = Math.min(measured, watch.seconds);
    if (result.stuck.length > 0) throw new Error(`${result.stuck.join(', ')} wait for ever`);
    steps = result.steps;
  }
  return { seconds, measured, steps };
}

/** Faults that the owner decides (`touch`) and that L0 fills (`refault`), and acts, per second. */
export function benchFaults(size: Size): BenchResult[] {
  const results: BenchResult[] = [];
  for (const design of [tdp, nested, kpop]) {
    for (const vcpus of [1, 8]) {
      const pages = size === 'quick' ? 50 : 24_000 / vcpus;
      const name = `${design.id}, ${vcpus} vCPU${vcpus > 1 ? 's' : ''}`;
      const touched = simulate(size, () => ({ design, vcpus, pages, program: touch(pages) }));
      const twice = simulate(size, () => {
        const withdrawn: number[] = [];
        const program = refault(pages, (gfn) => withdrawn.push(gfn));
        return { design, vcpus, pages, program, withdrawn };
      });
      const faults = pages * vcpus;
      results.push(
        { name: `touch, ${name}`, perSecond: faults / touched.measured, unit: 'faults' },
        { name: `refault, ${name}`, perSecond: faults / twice.measured, unit: 'faults' },
        {
          name: `acts of touch, ${name}`,
          perSecond: touched.steps / touched.seconds,
          unit: 'acts',
        },
      );
    }
  }
  return results;
}

/** Accesses that each vCPU makes to so many pages of its own, all of which its TLB holds. */
const PRIVATE = { pages: 64, instructions: 3, full: 400_000, quick: 2000, vcpus: 64 } as const;

/** A program whose measured part reads pages that its set-up has touched, over and over. */
function privately(lines: AccessLines): Program {
  const processes = new Map<number, Process>();
  return {
    *setUp({ cpu, kernel, index }: Environment): Routine<void> {
      const process = yield* kernel.exec(cpu);
      processes.set(index, process);
      yield* replay(cpu, kernel, process, writes(0, PRIVATE.pages));
    },
    run({ cpu, kernel, index }: Environment): Routine<void> {
      return replay(cpu, kernel, processes.get(index)!, lines);
    },
  };
}

/** Private accesses of all vCPUs together, through the timed scheduler. */
export function benchPrivate(size: Size): BenchResult[] {
  const { pages, instructions, vcpus } = PRIVATE;
  const count = PRIVATE[size];
  const lines: AccessLines = {
    pageOf: Float64Array.from({ length: pages }, (_, i) => i),
    pages: Int32Array.from({ length: count }, (_, i) => (i * 5) % pages),
    kinds: new Uint8Array(count).fill(READ),
    instructions: new Uint32Array(count).fill(instructions),
  };
  const { measured } = simulate(size, () => {
    return { design: tdp, vcpus, pages, program: privately(lines) };
  });
  const name = `private accesses, ${vcpus} vCPUs`;
  return [{ name, perSecond: (count * vcpus) / measured, unit: 'accesses' }];
}

/** Acts that one more fault of `kpop touch` takes, those of set-up left out. */
export function actsPerFault(): number {
  const acts = (pages: number): number => {
    return runTimed(build({ design: kpop, vcpus: 1, pages, program: touch(pages) }).system.machine)
      .steps;
  };
  return (acts(600) - acts(200)) / 400;
}

/** Recorded programs as processes under `tdp`, exec and exit included. */
export function benchTraces(size: Size, folder: string): BenchResult[] {
  const programs = size === 'quick' ? ['sort'] : ['sort', 'gzip', 'redis'];
  return programs.flatMap((program) => {
    const trace = loadTrace(`${folder}/${program}.kpt.gz`);
    const { lines, areas, accesses, pages } = recordingOf(trace, 0);
    const times = size === 'quick' ? 1 : Math.max(2, Math.round(4_000_000 / accesses));
    const life = { lines, areas, operations: accesses, reported: false };
    const lives = [new Array<typeof life>(times).fill(life)];
    const { measured: seconds } = simulate(size, () => {
      return { design: tdp, vcpus: 1, pages: 2 * pages, program: recorded(lives) };
    });
    const { references } = trace.header;
    const result = {
      name: `trace ${program}`,
      perSecond: (accesses * times) / seconds,
      unit: 'lines',
    };
    if (references === null) return [result];
    const perSecond = (references * times) / seconds;
    return [result, { name: `trace ${program}, stands for`, perSecond, unit: 'references' }];
  });
}

const HITS = { full: 1 << 24, quick: 1 << 16 } as const;

/** Look-ups that hit, over as many pages as fill half of the TLB. */
export function benchTlb(size: Size): BenchResult[] {
  const tlb = new Tlb(intelCascadeLake.tlb);
  const space = tlb.space('combined', 1, 1, 7);
  const count = (intelCascadeLake.tlb.sets * intelCascadeLake.tlb.ways) >> 1;
  for (let page = 0; page < count; page++) tlb.insert(space, page, page + 1, 15);
  const hits = HITS[size];
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS[size]; round++) {
    const begin = performance.now();
    let page = 0;
    for (let i = 0; i < hits; i++) {
      page = (page * 5 + 3) % count; // in no order that a cache would like
      if (tlb.lookup(space, page, 1 << READ) < 0) throw new Error(`page ${page} is lost`);
    }
    best = Math.min(best, performance.now() - begin);
  }
  return [{ name: 'TLB hits', perSecond: (hits * 1000) / best, unit: 'accesses' }];
}

/** Megabytes that a machine with `vcpus` vCPUs holds at the end of `kpop touch`. */
export function benchMemory(vcpus: number): number {
  const pages = 16;
  const { system } = build({ design: kpop, vcpus, pages, program: touch(pages) });
  runTimed(system.machine);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return system.machine.cpus.length === vcpus ? (heapUsed + arrayBuffers) / 1e6 : 0;
}
