/**
 * The private path and the path of acts are the same run (DESIGN.md section 3, "Steps"). With
 * `runAhead` a program's TLB hits go ahead without a step; without it every access is an act.
 *
 * Equal are: every document field but the digest, the events of every CPU in their order, with
 * their cycles, and the final memory. What may differ is only how events of different CPUs lie
 * between each other in the stream: a CPU that ran ahead emits what follows its stretch before
 * others have caught up. Sorted by cycle and CPU the two streams are one, so the digest, which
 * hashes them in the order of emission, is the only field that tells the paths apart.
 *
 * An act performed on the spot, and the same act when the scheduler's turn comes, are one run with
 * no exception: digest and number of acts included.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { loadTrace } from '../../src/cli/trace-file.ts';
import { assemble, traceNames, visitMemory } from '../../src/design/assemble.ts';
import { parseDesign } from '../../src/design/index.ts';
import { DEFAULT_CONDITIONS } from '../../src/experiment/run.ts';
import type { Process } from '../../src/guest/common/process.ts';
import {
  awaitBell,
  type Environment,
  OWN_BELL,
  type Program,
} from '../../src/guest/program/environment.ts';
import { replay, writes } from '../../src/guest/program/replay.ts';
import { type AccessLines, GuestContext } from '../../src/machine/guest.ts';
import { bell, ring } from '../../src/machine/instruction.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { Counters } from '../../src/measure/counters.ts';
import { Digest } from '../../src/measure/digest.ts';
import type { Measured } from '../../src/measure/result.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { fanOut, type TraceSink } from '../../src/runtime/trace.ts';
import { type Acting, runTimed } from '../../src/schedule/timed.ts';
import { parseWorkload, seatPrograms } from '../../src/workload/index.ts';
import { type Recording, recordingOf } from '../../src/workload/recording.ts';
import type { Plan } from '../../src/workload/workload.ts';

const VCPUS = 3;
const SORT = 'bundled:sort';
/** Lines of the recording that are replayed. */
const LINES = 120_000;
const STORM = 'shootdowns into stretches of hits';
const DATA = 0x400000;

afterEach(() => vi.restoreAllMocks());

interface Outcome {
  readonly measured: Measured;
  readonly cycles: number;
  readonly memory: string;
  /** Of every CPU: its events in their order. */
  readonly streams: readonly (readonly string[])[];
  readonly inTime: readonly string[];
  readonly steps: number;
  readonly digest: string;
}

function recordings(workload: string): Map<string, Recording> {
  if (!workload.includes(SORT)) return new Map();
  const whole = recordingOf(loadTrace('data/traces/sort.kpt.gz'), 0);
  const { pageOf, pages, kinds, instructions } = whole.lines;
  const end = LINES;
  const lines = {
    pageOf,
    pages: pages.subarray(0, end),
    kinds: kinds.subarray(0, end),
    instructions: instructions.subarray(0, end),
  };
  return new Map([[SORT, { ...whole, lines }]]);
}

function planOf(workload: string): Plan {
  if (workload === STORM) return { program: storm(), pagesPerVcpu: 128, stride: 1 };
  const work = parseWorkload(workload);
  return work.workload.plan(work.settings, VCPUS, recordings(workload));
}

/** vCPU 0 unmaps pages of the space in which all others go through long stretches of hits. */
function storm(): Program {
  const shared: Process[] = [];
  const made = bell(OWN_BELL);
  return {
    *setUp(env: Environment): Routine<void> {
      if (env.index === 0) {
        shared.push(yield* env.kernel.exec(env.cpu));
        yield ring(env.cpu, made);
      } else {
        yield* awaitBell(env.cpu, made, 1);
        yield* env.kernel.switchTo(env.cpu, shared[0]!);
      }
    },
    *run({ cpu, kernel, index }: Environment): Routine<void> {
      const process = shared[0]!;
      const first = DATA + index * 2 ** 18;
      if (index > 0) return yield* replay(cpu, kernel, process, again(first, 8, 30_000));
      for (let round = 0; round < 20; round++) {
        yield* replay(cpu, kernel, process, again(first, 3, 30 + 50 * round));
        yield* kernel.munmap(cpu, process, first, first + 3);
      }
    },
  };
}

/** `times` writes that go round `count` pages. */
function again(first: number, count: number, times: number): AccessLines {
  const pages = Int32Array.from({ length: times }, (_, i) => i % count);
  return { ...writes(first, times), pages };
}

function outcome(design: string, workload: string, seed: number, acting?: Acting): Outcome {
  const plan = planOf(workload);
  const counters = new Counters({
    cpus: VCPUS,
    participants: VCPUS,
    exitNames: traceNames.exits,
    lockNames: traceNames.locks,
  });
  const events: { cpu: number; cycle: number; text: string }[] = [];
  const log: TraceSink = {
    event(kind, cpu, cycle, a, b): void {
      events.push({ cpu, cycle, text: `${cycle} ${cpu} ${kind} ${a} ${b}` });
    },
  };
  const order = new Digest();
  const { pagesPerVcpu, stride } = plan;
  const system = assemble(parseDesign(design), {
    preset: intelCascadeLake,
    cpus: VCPUS,
    trace: fanOut([counters, order, log]),
    softwareScale: 1,
    demand: { vcpus: VCPUS, pagesPerVcpu, stride, hostThreads: 0 },
    conditions: DEFAULT_CONDITIONS,
  });
  seatPrograms(system.environments, plan, (vcpu) => new Random(seed, vcpu).below(4096));
  const { steps, cycles, stuck } = runTimed(system.machine, acting);
  expect(stuck).toEqual([]);
  const memory = new Digest();
  visitMemory(system.machine.memory, (words) => memory.absorb(words));
  const streams = Array.from({ length: VCPUS }, (_, cpu) =>
    events.filter((event) => event.cpu === cpu).map(({ text }) => text),
  );
  const inTime = [...events].sort((a, b) => a.cycle - b.cycle || a.cpu - b.cpu);
  return {
    measured: counters.result(),
    cycles,
    memory: memory.hex(),
    streams,
    inTime: inTime.map(({ text }) => text),
    steps,
    digest: order.hex(),
  };
}

/** Every access is an act: nobody goes ahead. */
function withoutRunningAhead(run: () => Outcome): Outcome {
  const spy = vi.spyOn(GuestContext.prototype, 'runAhead').mockImplementation((_, from) => from);
  const result = run();
  expect(spy).toHaveBeenCalled();
  spy.mockRestore();
  return result;
}

describe.each(['tdp', 'nested', 'kpop'])('%s', (design) => {
  it.each(['touch:pages=64', `trace:${SORT}`, 'munmap:rounds=8,pages=5', STORM])(
    '%s: both paths give one run',
    (workload) => {
      const ahead = outcome(design, workload, 7);
      const acts = withoutRunningAhead(() => outcome(design, workload, 7));
      expect(acts.streams).toEqual(ahead.streams);
      expect(acts.inTime).toEqual(ahead.inTime);
      expect(acts.measured).toEqual(ahead.measured);
      expect([acts.cycles, acts.memory]).toEqual([ahead.cycles, ahead.memory]);
      if (workload === STORM || workload.startsWith('trace'))
        expect(acts.steps).toBeGreaterThan(2 * ahead.steps);
    },
  );

  it.each(['touch:pages=64', 'munmap:rounds=8,pages=5', `trace:${SORT}`, STORM])(
    '%s: acts on the spot and acts in turn are one run',
    (workload) => {
      const inTurn = outcome(design, workload, 7, 'in turn');
      expect(outcome(design, workload, 7, 'on the spot')).toEqual(inTurn);
    },
  );
});
