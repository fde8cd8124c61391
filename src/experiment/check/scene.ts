/**
 * A design and a litmus program put together for exploration: a small machine whose memory is a
 * tape, the design's real code on it, the litmus programs as its guests and threads. Built once to
 * be looked at, and once more for every live copy of a hart.
 */
import { OwnerCall } from '../../abi/owner.ts';
import { defect } from '../../base/assert.ts';
import { badInput } from '../../base/bad-input.ts';
import { suggestion } from '../../base/nearest.ts';
import type { View } from '../../check/invariant/view.ts';
import { hostView, overheardView } from '../../check/invariant/view.ts';
import type { Choice } from '../../design/index.ts';
import {
  ASKED,
  type Checked,
  type CheckedKernel,
  type Conditions,
  type Demand,
} from '../../design/system.ts';
import { sometimesLabels } from '../../litmus/index.ts';
import type { GuestStep, HostStep, Litmus } from '../../litmus/litmus.ts';
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import { fixedSpaces, HostileHardware } from '../../machine/explored/adversary.ts';
import { EagerHardware } from '../../machine/explored/eager.ts';
import { FREE_LINES, FREE_OF } from '../../machine/explored/free.ts';
import { ExploredHart } from '../../machine/explored/hart.ts';
import { TapeMemory } from '../../machine/explored/memory.ts';
import { Notes } from '../../machine/explored/notes.ts';
import type { Forgetting } from '../../machine/explored/observer.ts';
import { ExploredTlb } from '../../machine/explored/tlb.ts';
import type { Weakening } from '../../machine/explored/weakening.ts';
import type { World } from '../../machine/explored/world.ts';
import { ept } from '../../machine/format/ept.ts';
import type { Geometry } from '../../machine/format/format.ts';
import type { WalkedFormat } from '../../machine/format/judge.ts';
import { npt } from '../../machine/format/npt.ts';
import { x86_64 } from '../../machine/format/x86-64.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { bell, cpuid, halt, ring, vmcall, work } from '../../machine/instruction.ts';
import { Machine } from '../../machine/machine.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { VendorId } from '../../machine/preset/price.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { FRAME_HALVES, type Likeness, type LiveHart, Tape } from '../../runtime/hart.ts';
import { Harts } from '../../schedule/explore/harts.ts';
import { LOCK_CLASSES } from '../../sync/lock-class.ts';
import { Judge } from './judge.ts';

/** Two levels of one index bit: four pages, a root and two leaf tables. */
export const MINI: Geometry = { levels: 2, indexBits: 1 };
const FRAMES = 256;
/** What guests await and threads of the host ring. */
const BELL = bell(0);
/** Rung by a guest's handler of virtual interrupts; each guest looks for its own. */
const TAKEN = bell(1);

export interface SceneOptions {
  readonly choice: Choice;
  readonly litmus: Litmus;
  readonly order: MemoryOrder;
  readonly weaken: readonly Weakening[];
  /** How what may be cached is explored: lazily unless given; eagerly as its oracle. */
  readonly hardware?: 'lazy' | 'eager';
  /** Entries after which a vCPU that goes on and on is cut; 3 unless given. */
  readonly entries?: number;
  /** How much harts forget of what they observed; all that code says they may unless given. */
  readonly forget?: Forgetting;
  /** False: promises are asked anew in every state, though nothing that they read has changed. */
  readonly remembers?: boolean;
  /** Wraps the live copies of harts, for who watches code as it runs. */
  readonly watch?: (live: LiveHart, hart: number) => LiveHart;
}

/** A scene as explorers and reports see it. */
export interface Scene {
  readonly harts: Harts;
  readonly hardware: HostileHardware;
  readonly checked: Checked;
  readonly view: View;
}

interface Copy extends World {
  readonly checked: Checked;
}

export function buildScene(options: SceneOptions): Scene {
  const scratch = new Int32Array(FRAMES * FRAME_HALVES);
  const first = buildCopy(options, scratch);
  const words = scratch.slice();
  // Every copy boots alike, so that what lies past the last word that the first wrote stays zero.
  const used = scratch.findLastIndex((half) => half !== 0) + 1;
  first.memory.show(words);
  const { checked } = first;
  const format = first.machine.translator.secondStage;
  const { isFlat = false } = options.choice.design.explored ?? {};
  const oneTag = first.machine.vendor.id === 'amd' || isFlat;
  const spaces = { ...(checked.spaces ?? fixedSpaces(format, checked.roots)), oneTag };
  const Hardware = options.hardware === 'eager' ? EagerHardware : HostileHardware;
  const hardware = new Hardware(words, spaces);
  const { order, weaken, forget, remembers } = options;
  const view = hostView(first.memory);
  const harts = new Harts({
    words,
    harts: first.machine.cpus.length,
    build: (hart) => {
      scratch.fill(0, 0, used);
      const copy = buildCopy(options, scratch);
      const live = new ExploredHart(copy, hart, new Tape(words), {
        order,
        weaken,
        hardware,
        forget,
      });
      return options.watch?.(live, hart) ?? live;
    },
    adversary: hardware,
    judgement: new Judge({
      checked,
      hardware,
      view: (heard) => overheardView(first.memory, heard),
      remembers,
    }),
    limits: (checked.repeated ?? ['run.enter']).map((label) => ({
      label,
      times: options.entries ?? 3,
    })),
    likenesses: likenessesOf(options, checked),
    sometimes: sometimesLabels(options.litmus),
  });
  return { harts, hardware, checked, view };
}

/**
 * Words of which only a part matters, as the code uses them: a weakened one may count otherwise (a
 * call that is not counted is waited for, a ticket is drawn twice).
 */
function likenessesOf({ forget, weaken }: SceneOptions, checked: Checked): readonly Likeness[] {
  const isClaimed = (forget ?? 'claimed') === 'claimed';
  return isClaimed && weaken.length === 0 ? (checked.likenesses ?? []) : [];
}

/** All harts in one copy, on words of their own, which whoever drives them writes. */
export function buildTogether(
  options: SceneOptions,
  hardware: HostileHardware,
): { harts: LiveHart[]; words: Int32Array } {
  const words = new Int32Array(FRAMES * FRAME_HALVES);
  const copy = buildCopy(options, words);
  const tape = new Tape(words);
  const { order, weaken, forget } = options;
  const harts = copy.machine.cpus.map(({ id }) => {
    const live = new ExploredHart(copy, id, tape, { order, weaken, hardware, forget });
    return options.watch?.(live, id) ?? live;
  });
  return { harts, words };
}

const STAGES = { intel: new Map<Geometry, WalkedFormat>(), amd: new Map<Geometry, WalkedFormat>() };

/** The second stage of a geometry: formats do not change, and all copies share them. */
function stageOf(geometry: Geometry, vendor: VendorId): WalkedFormat {
  let format = STAGES[vendor].get(geometry);
  if (format === undefined) {
    format = vendor === 'amd' ? npt(geometry) : ept(geometry, { accessDirty: true });
    STAGES[vendor].set(geometry, format);
  }
  return format;
}

/** What a design offers to a checker; undefined if nothing. `read` is told which axes it reads. */
export function checkedOf(
  { name, design, axes: given }: Choice,
  read: (axis: string) => void = () => undefined,
): Checked | undefined {
  const nothing = { id: '', title: '', source: '', pages: 1, guests: [], hosts: [[]] };
  const axes = new Proxy(given, {
    get(target, axis): unknown {
      if (typeof axis === 'string') read(axis);
      return Reflect.get(target, axis) as unknown;
    },
  });
  const choice = { name, design, axes };
  return emptyCopy(choice, nothing, new Int32Array(FRAMES * FRAME_HALVES)).checked;
}

/** The first stage of guests whose tables are looked at. */
const FIRST_STAGE = x86_64(MINI);

interface EmptyCopy extends Pick<World, 'machine' | 'memory' | 'notes'> {
  readonly checked: Checked | undefined;
}

/** The design on a machine of its own, without anything to do. */
function emptyCopy(choice: Choice, litmus: Litmus, scratch: Int32Array): EmptyCopy {
  const { guests, hosts } = litmus;
  const cpus = guests.length + hosts.length;
  const memory = new TapeMemory(scratch);
  const freeHanded = new Set<string>();
  const order = { rankOf: (kind: number) => kind, nameOf: (kind: number) => LOCK_CLASSES[kind]! };
  const notes = new Notes(cpus, order, freeHanded);
  const { secondStage = MINI, vendor = 'intel', isFlat = false } = choice.design.explored ?? {};
  const machine = new Machine({
    preset: FREE_OF[vendor],
    cpus,
    trace: notes,
    memory,
    lines: FREE_LINES,
    tlb: () => new ExploredTlb(vendor, isFlat),
    secondStage: stageOf(secondStage, vendor),
    nestedStage: stageOf(MINI, vendor),
    firstStage: isFlat ? FIRST_STAGE : undefined,
  });
  const { design, axes } = choice;
  const { checked } = design.build(machine, demandOf(litmus), axes, conditionsOf(litmus));
  for (const label of checked?.freeHanded ?? []) freeHanded.add(label);
  return { machine, memory, notes, checked };
}

/** What a litmus program needs: slots that are logged, or that come and go, if it does that. */
export function demandOf(litmus: Litmus): Demand {
  const { guests, hosts, pages } = litmus;
  const does = (kind: string): boolean => hosts.flat().some((step) => step.do.startsWith(kind));
  return {
    vcpus: guests.length,
    pagesPerVcpu: 0,
    stride: 1,
    hostThreads: hosts.length,
    barePages: pages,
    logs: does('log-') || does('host-log-'),
    windows: does('window'),
    slots: does('slot-') ? { devices: 0, spare: 0 } : undefined,
  };
}

/** Counting conditions of a litmus program: all at their plainest but for what it is about. */
export function conditionsOf({ hostPages }: Litmus): Conditions {
  return { l1: 'warm', apicv: 'off', pages: hostPages ?? '4k' };
}

/** The design on a machine of its own, everything in place and nothing run. */
function buildCopy({ choice, litmus }: SceneOptions, scratch: Int32Array): Copy {
  const { guests, hosts } = litmus;
  const { machine, memory, notes, checked } = emptyCopy(choice, litmus, scratch);
  if (checked === undefined) return badInput(`design ${choice.name} offers nothing to check`);
  if (litmus.mapped !== undefined) checked.premap(litmus.mapped);
  checked.begin?.(hosts.map((steps) => steps.map((step) => step.do)));
  guests.forEach((steps, i) => {
    const guest = machine.guests.find((g) => g.homeCpu === i) ?? defect('scene', `no guest ${i}`);
    guest.push(guestProgram(guest, steps, checked));
  });
  hosts.forEach((steps, i) => {
    machine.hostThread(guests.length + i, `host.${i}`, (me) => hostProgram(me, checked, steps));
  });
  const { privates, roots } = checked;
  const silent = new Set(checked.silent);
  const guestsAtOnce = checked.broadcasts;
  return { machine, memory, notes, checked, privates, silent, roots, guestsAtOnce };
}

function* guestProgram(
  cpu: GuestContext,
  steps: readonly GuestStep[],
  { asked = [], kernel }: Checked,
): Routine<void> {
  cpu.vector = function* taken(): Routine<void> {
    yield ring(cpu, TAKEN);
  };
  for (const step of steps) {
    if (step.do === 'leave') yield cpuid(cpu, 0, 'guest.leave');
    else if (step.do === 'ask') {
      if (kernel === undefined) yield vmcall(cpu, callOf(step.what, asked), [], 'guest.ask');
      else yield* deedOf(step.what, kernel)(cpu);
    } else if (step.do === 'await') yield cpu.wait([BELL], () => cpu.peek(BELL) > 0, 'guest.await');
    else if (step.do === 'interrupted') {
      yield cpu.wait([TAKEN], () => cpu.peek(TAKEN) > 0, 'guest.interrupted');
    } else if (step.do === 'halt') yield* haltUntilTaken(cpu);
    else if (kernel !== undefined) {
      if (!(yield* kernel.access(cpu, step.page, step.do))) break; // its kernel ends it
    } else {
      cpu.began('access', step.page, step.do === 'read' ? 1 : 2);
      if (step.do === 'read') yield cpu.load(step.page * FRAME_BYTES, 'guest.read');
      else yield cpu.store(step.page * FRAME_BYTES, step.value, 'guest.write');
      cpu.ended('access', 'done');
    }
  }
  yield vmcall(cpu, OwnerCall.done, [], 'guest.done');
}

/** As an idle loop: look with interrupts off, then STI and HLT. */
function* haltUntilTaken(cpu: GuestContext): Routine<void> {
  for (;;) {
    cpu.masked = true;
    if (cpu.peek(TAKEN) > 0) break; // its own CPU rings it
    yield halt(cpu, 'guest.halt');
    cpu.masked = false;
    yield work(cpu, 1, 'guest.woken'); // interrupts are taken here
  }
  cpu.masked = false;
}

function deedOf(what: string, { asked }: CheckedKernel): CheckedKernel['asked'][string] {
  return asked[what] ?? badInput(`no kernel can be asked for ${what}`);
}

function callOf(what: string, asked: readonly string[]): number {
  const at = asked.indexOf(what);
  return at < 0 ? badInput(`nobody can be asked for ${what}`) : ASKED + at;
}

function* hostProgram(cpu: Context, checked: Checked, steps: readonly HostStep[]): Routine<void> {
  for (const [i, step] of steps.entries()) {
    cpu.rest(i, 0);
    if (step.do === 'ring') yield ring(cpu, BELL);
    else yield* operationOf(checked, step)(cpu, step);
  }
  cpu.rest(steps.length, 0);
}

function operationOf(checked: Checked, step: HostStep): Checked['operations'][string] {
  const found = checked.operations[step.do];
  if (found !== undefined) return found;
  const known = Object.keys(checked.operations);
  return badInput(`unknown operation ${step.do}${suggestion(step.do, known)}`);
}
