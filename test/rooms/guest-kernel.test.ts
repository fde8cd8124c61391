/**
 * The guest's kernel: what its address spaces promise. Programs of the test run under `tdp`, and
 * the frames behind their pages are compared.
 */
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/design/assemble.ts';
import { parseDesign } from '../../src/design/index.ts';
import type { System } from '../../src/design/system.ts';
import { DEFAULT_CONDITIONS } from '../../src/experiment/run.ts';
import type { Process } from '../../src/guest/common/process.ts';
import {
  awaitBell,
  type Environment,
  guestBody,
  OWN_BELL,
} from '../../src/guest/program/environment.ts';
import { ACCESS, accesses, replay, writes } from '../../src/guest/program/replay.ts';
import type { Cpu } from '../../src/machine/cpu.ts';
import { bell, ring } from '../../src/machine/instruction.ts';
import { DEFAULT_PRESET, findPreset } from '../../src/machine/preset/index.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { Event } from '../../src/runtime/trace.ts';
import { runTimed } from '../../src/schedule/timed.ts';

interface Ran {
  readonly system: System;
  readonly copies: number;
}

/** Runs one program on all vCPUs to its end. */
function run(vcpus: number, program: (env: Environment) => Routine<void>, pages = 64): Ran {
  let copies = 0;
  const system = assemble(parseDesign('tdp'), {
    preset: findPreset(DEFAULT_PRESET),
    cpus: vcpus,
    trace: {
      event(kind): void {
        if (kind === Event.copy) copies++;
      },
    },
    softwareScale: 1,
    demand: {
      vcpus,
      pagesPerVcpu: pages + 64,
      stride: 1,
      hostThreads: 0,
      spaces: { files: 1, filePages: 16 },
    },
    conditions: DEFAULT_CONDITIONS,
  });
  const nothing = function* (): Routine<void> {
    // no set-up
  };
  for (const env of system.environments) {
    env.cpu.push(guestBody(env, { setUp: nothing, run: program }));
  }
  expect(runTimed(system.machine).stuck).toEqual([]);
  return { system, copies };
}

function touch(env: Environment, process: Process, first: number, pages: number): Routine<void> {
  return replay(env.cpu, env.kernel, process, writes(first, pages), 0);
}

describe('fork', () => {
  it('shares a frame until one side writes; the last user writes in place', () => {
    const seen: Record<string, number> = {};
    const { copies } = run(1, function* (env): Routine<void> {
      const { cpu, kernel } = env;
      const { spaces } = kernel;
      const parent = yield* spaces.begin(cpu);
      const page = yield* spaces.map(cpu, parent, { pages: 1 });
      yield* touch(env, parent, page, 1);
      seen['before'] = yield* kernel.frameOf(cpu, parent, page);
      const child = yield* spaces.fork(cpu, parent);
      seen['shared'] = yield* kernel.frameOf(cpu, child, page);
      yield* spaces.enter(cpu, child);
      yield* touch(env, child, page, 1);
      seen['child'] = yield* kernel.frameOf(cpu, child, page);
      yield* spaces.enter(cpu, parent);
      seen['parent'] = yield* kernel.frameOf(cpu, parent, page);
      yield* touch(env, parent, page, 1);
      seen['written'] = yield* kernel.frameOf(cpu, parent, page);
      yield* spaces.exit(cpu, child);
    });
    expect(seen['shared']).toBe(seen['before']);
    expect(seen['parent']).toBe(seen['before']);
    expect(seen['child']).not.toBe(seen['before']);
    expect(seen['written']).toBe(seen['before']); // the child had its own: nobody shares any more
    expect(copies).toBe(1);
  });

  it('gives back what processes used: many lives in a small memory', () => {
    run(1, function* (env): Routine<void> {
      const { cpu, kernel } = env;
      const { spaces } = kernel;
      const parent = yield* spaces.begin(cpu);
      const first = yield* spaces.map(cpu, parent, { pages: 32 });
      yield* touch(env, parent, first, 32);
      for (let i = 0; i < 100; i++) {
        const child = yield* spaces.fork(cpu, parent);
        yield* spaces.enter(cpu, child);
        yield* touch(env, child, first, 16);
        const next = yield* spaces.exec(cpu, child);
        const data = yield* spaces.map(cpu, next, { pages: 32 });
        yield* touch(env, next, data, 32);
        yield* spaces.exit(cpu, next);
        yield* spaces.enter(cpu, parent);
        yield* touch(env, parent, first, 32);
      }
    });
  });

  it('leaves no vCPU with the shared frame once a thread has a copy', () => {
    const found = { page: 0, old: 0, fresh: 0 };
    const made = bell(OWN_BELL);
    const used = bell(OWN_BELL + 1);
    const copied = bell(OWN_BELL + 2);
    const shared: { process?: Process } = {};
    const { system } = run(2, function* (env): Routine<void> {
      const { cpu, kernel, index } = env;
      const { spaces } = kernel;
      if (index === 1) {
        yield* awaitBell(cpu, made, 1);
        const process = shared.process!;
        yield* spaces.enter(cpu, process);
        yield* replay(cpu, kernel, process, accesses(found.page, 1, ACCESS.read), 0);
        yield ring(cpu, used);
        return yield* awaitBell(cpu, copied, 1); // interrupted there
      }
      const process = yield* spaces.begin(cpu);
      found.page = yield* spaces.map(cpu, process, { pages: 1 });
      yield* touch(env, process, found.page, 1);
      found.old = yield* kernel.frameOf(cpu, process, found.page);
      yield* spaces.fork(cpu, process);
      shared.process = process;
      yield ring(cpu, made);
      yield* awaitBell(cpu, used, 1);
      yield* touch(env, process, found.page, 1);
      found.fresh = yield* kernel.frameOf(cpu, process, found.page);
      yield ring(cpu, copied);
    });
    expect(found.fresh).not.toBe(found.old);
    const { regime } = system.environments[1]!.cpu;
    const { tlb } = system.machine.cpus[1]!;
    const space = tlb.space('combined', regime.vpid, regime.pcid, regime.root);
    expect(tlb.lookup(space, found.page, 1)).toBe(-1);
  });
});

describe('areas', () => {
  it('come back at the lowest gap, and split where a part goes', () => {
    const at: number[] = [];
    run(1, function* (env): Routine<void> {
      const { cpu, kernel } = env;
      const { spaces } = kernel;
      const process = yield* spaces.begin(cpu);
      const map = (pages: number): Routine<number> => spaces.map(cpu, process, { pages });
      at.push(yield* map(4), yield* map(4), yield* map(4));
      yield* touch(env, process, at[0]!, 12);
      yield* spaces.unmap(cpu, process, at[1]! + 1, 2); // its ends stay
      at.push(yield* map(2), yield* map(3));
      yield* touch(env, process, at[0]!, 15);
    });
    const base = at[0]!;
    expect(at.map((page) => page - base)).toEqual([0, 4, 8, 5, 12]);
  });

  it('keep their frames when they move', () => {
    const frames: number[] = [];
    run(1, function* (env): Routine<void> {
      const { cpu, kernel } = env;
      const { spaces } = kernel;
      const process = yield* spaces.begin(cpu);
      const first = yield* spaces.map(cpu, process, { pages: 2 });
      yield* touch(env, process, first, 2);
      frames.push(yield* kernel.frameOf(cpu, process, first + 1));
      const moved = yield* spaces.move(cpu, process, first, 2);
      expect(moved).toBe(first + 2);
      frames.push(yield* kernel.frameOf(cpu, process, moved + 1));
      frames.push(yield* kernel.frameOf(cpu, process, first + 1));
    });
    expect(frames[1]).toBe(frames[0]);
    expect(frames[2]).toBe(-1);
  });
});

describe('tags', () => {
  it('are used again, and never show a process the pages of another', () => {
    const frames: number[][] = [];
    run(1, function* (env): Routine<void> {
      const { cpu, kernel } = env;
      const { spaces } = kernel;
      const processes: Process[] = [];
      for (let i = 0; i < 10; i++) processes.push(yield* spaces.begin(cpu)); // more than tags
      for (const process of processes) {
        yield* spaces.enter(cpu, process);
        yield* touch(env, process, yield* spaces.map(cpu, process, { pages: 1 }), 1);
      }
      for (const process of processes) {
        yield* spaces.enter(cpu, process);
        const on = cpu.on as Cpu;
        const cached = on.tlb.lookup(on.combinedSpace(cpu.regime), 0x400000, 1);
        frames.push([cached, yield* kernel.frameOf(cpu, process, 0x400000)]);
      }
    });
    // Guest and host frames differ by number here, but not whether two processes share one.
    const cached = frames.map(([of]) => of!).filter((of) => of >= 0);
    expect(new Set(cached).size).toBe(cached.length);
    expect(new Set(frames.map(([, own]) => own)).size).toBe(10);
  });
});
