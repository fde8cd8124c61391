/**
 * A design and a litmus program as every thread of a stress run builds it: a machine of its own on
 * words that will be shared, the design's real code on it, and programs that do the litmus again
 * and again. Of the machine a thread drives one CPU.
 */
import { OwnerCall } from '../../abi/owner.ts';
import { defect } from '../../base/assert.ts';
import { badInput } from '../../base/bad-input.ts';
import { hex, hostView, type View } from '../../check/invariant/view.ts';
import { type Choice, parseDesign } from '../../design/index.ts';
import type { Checked } from '../../design/system.ts';
import type { GuestStep, HostStep, Litmus } from '../../litmus/litmus.ts';
import { FREE } from '../../machine/explored/free.ts';
import { ept } from '../../machine/format/ept.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { bell, cpuid, ring, vmcall } from '../../machine/instruction.ts';
import { Machine } from '../../machine/machine.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Preset } from '../../machine/preset/price.ts';
import { SharedMemory } from '../../machine/shared/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { FRAME_HALVES } from '../../runtime/hart.ts';
import type { SharedWords } from '../../runtime/threads.ts';
import { conditionsOf, demandOf, MINI } from './scene.ts';

/** Frames of memory, half of them for structures. */
export const FRAMES = 1024;
const BELL = bell(0);
/** What a freed frame holds until it is used again. */
const POISON = 0x5eed5eed;
/** No larger than the pages of a mini geometry need: a world is built in each round. */
const SMALL: Preset = { ...FREE, tlb: { sets: 4, ways: 4, structures: 1 } };

export interface WorldOptions {
  /** `kpop:lock=vm`. */
  readonly design: string;
  readonly litmus: Litmus;
  /** How often each program of the host does what the litmus says. */
  readonly turns: number;
  /** Whether all threads of the host are done: then guests end too. */
  readonly isWorkDone: () => boolean;
  /** Lets some time go by before a turn, so that others get to do something in between. */
  readonly pause: () => void;
  /** Says what is broken. */
  readonly broken: (message: string) => void;
}

export class StressWorld {
  readonly machine: Machine;
  readonly checked: Checked;
  /** How often a frame was put on a free list. */
  freed = 0;
  readonly #memory: SharedMemory;
  readonly #view: View;
  readonly #broken: (message: string) => void;
  readonly #frameOfLink = new Map<number, number>();

  /** `words`: for building, zero; they are private. */
  constructor(options: WorldOptions, words: Int32Array) {
    const { litmus } = options;
    this.#broken = options.broken;
    this.#memory = new SharedMemory(words);
    this.#view = hostView(this.#memory);
    const choice = parseDesign(options.design);
    this.machine = new Machine({
      preset: SMALL,
      cpus: litmus.guests.length + litmus.hosts.length,
      trace: { event: () => undefined },
      memory: this.#memory,
      secondStage: ept(choice.design.explored?.secondStage ?? MINI, { accessDirty: true }),
      nestedStage: ept(MINI, { accessDirty: true }),
    });
    this.checked = build(this.machine, choice, litmus);
    if (litmus.mapped !== undefined) this.checked.premap(litmus.mapped);
    addPrograms(this.machine, this.checked, options);
    for (let frame = 0; frame < FRAMES; frame++) {
      const pool = this.checked.pools.find((each) => each.covers(frame));
      if (pool !== undefined) this.#frameOfLink.set(pool.linkAt(frame), frame);
    }
  }

  /** Words as they are once the system is built. */
  get words(): Int32Array {
    return this.#memory.words;
  }

  /** From now on all that is written is seen by all. `poisoned`: by frame. */
  share(words: SharedWords, poisoned: Int32Array): void {
    this.#memory.share(words);
    this.#memory.whenWritten = (index) => {
      const frame = this.#frameOfLink.get(index * 4);
      if (frame === undefined) return;
      this.freed++;
      words.halves.fill(POISON, frame * FRAME_HALVES, (frame + 1) * FRAME_HALVES);
      Atomics.store(poisoned, frame, 1);
    };
  }

  /** A frame is used again: what it was poisoned with must be there. */
  leavePool(frame: number, poisoned: Int32Array): void {
    if (Atomics.exchange(poisoned, frame, 0) === 1) this.#look(frame);
  }

  /** A CPU in guest mode has `frame` cached for `page`: it must not be one that was taken away. */
  judgeUse(cpu: number, space: number, page: number, frame: number, rights: number): void {
    if (!this.checked.roots.includes(space)) return;
    const why = this.checked.misuse(this.#view, page, frame, rights);
    if (why === undefined) return;
    const use = `cpu${cpu} in guest mode may use page ${hex(page)} in frame ${hex(frame)}`;
    this.#broken(`tlb.stale: ${use}: ${why}`);
  }

  /** Nobody moves any more: what is promised of that, and of the frames that are free. */
  judgeRest(poisoned: Int32Array): void {
    for (const { id, atRest } of this.checked.promises) {
      const wrong = atRest?.(this.#view)[0];
      if (wrong !== undefined) this.#broken(`${id}: at rest, ${wrong}`);
    }
    for (const frame of this.#frameOfLink.values()) {
      const isFree = this.checked.pools.some((p) => p.covers(frame) && p.isFree(this.#view, frame));
      if (isFree && poisoned[frame] === 1) this.#look(frame);
    }
  }

  #look(frame: number): void {
    const { words } = this.#memory;
    const from = frame * FRAME_HALVES;
    for (let i = from; i < from + FRAME_HALVES; i++) {
      if (words[i] === POISON) continue;
      this.#broken(`frame.free: frame ${hex(frame)} was written while it was free`);
      return;
    }
  }
}

function build(machine: Machine, { name, design, axes }: Choice, litmus: Litmus): Checked {
  const { checked } = design.build(machine, demandOf(litmus), axes, conditionsOf(litmus));
  return checked ?? badInput(`design ${name} offers nothing to check`);
}

function addPrograms(machine: Machine, checked: Checked, options: WorldOptions): void {
  const { guests, hosts } = options.litmus;
  const { turns, pause } = options;
  const isOver = hosts.length === 0 ? after(turns) : options.isWorkDone;
  guests.forEach((steps, i) => {
    const guest = machine.guests.find((g) => g.homeCpu === i) ?? defect('stress', `no guest ${i}`);
    guest.push(guestProgram(guest, steps, isOver));
  });
  const repeat = function* (steps: readonly HostStep[]): Iterable<HostStep> {
    for (let turn = 0; turn < turns; turn++) {
      pause();
      yield* steps;
    }
  };
  hosts.forEach((steps, i) => {
    const cpu = guests.length + i;
    machine.hostThread(cpu, `host.${i}`, (me) => hostProgram(me, checked, repeat(steps)));
  });
}

/** False for so many times. */
function after(times: number): () => boolean {
  let left = times;
  return () => left-- <= 0;
}

function* guestProgram(
  cpu: GuestContext,
  steps: readonly GuestStep[],
  isOver: () => boolean,
): Routine<void> {
  while (!isOver()) {
    for (const step of steps) {
      if (step.do === 'leave') yield cpuid(cpu, 0, 'guest.leave');
      else if (step.do === 'ask') return badInput('a stress run asks no guest hypervisor');
      else if (step.do === 'interrupted' || step.do === 'halt') {
        return badInput('a stress run has no virtual interrupts');
      } else if (step.do === 'await') {
        yield cpu.wait([BELL], () => cpu.peek(BELL) > 0, 'guest.await');
      } else if (step.do === 'read') yield cpu.load(step.page * FRAME_BYTES, 'guest.read');
      else yield cpu.store(step.page * FRAME_BYTES, step.value, 'guest.write');
    }
  }
  yield vmcall(cpu, OwnerCall.done, [], 'guest.done');
}

function* hostProgram(cpu: Context, checked: Checked, steps: Iterable<HostStep>): Routine<void> {
  for (const step of steps) {
    if (step.do === 'ring') yield ring(cpu, BELL);
    else {
      const operation = checked.operations[step.do];
      yield* (operation ?? badInput(`unknown operation ${step.do}`))(cpu, step);
    }
  }
}
