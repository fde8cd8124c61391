/**
 * The guest in the recordings of data/traces/kvm: a program without an operating system that edits
 * its own page tables through a map of its memory, and goes through a gate for what needs
 * privilege. Its commands come one after the other; after each it tells its host by an OUT.
 *
 * Source: data/traces/kvm/README.md (commands), and the recordings (which words a command uses, and
 * where its instructions lie).
 */
import { EXECUTE, READ, WRITE } from '../../machine/format/judge.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { accessAt, bell, type GateCall, gate, out, ring } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { GuestImage, HostDeed } from '../common/image.ts';
import { awaitBell, OWN_BELL } from './environment.ts';
import { BUMP, DESCRIPTORS, IMAGE_ROOT, imageWords, LOW, Place, SLOT } from './shadow-image.ts';

export type { GuestImage } from '../common/image.ts';

const ENTRIES = 512;
const FLAGS = 7;
const PORT = 0x10;
const DONE = bell(OWN_BELL);
/** Guest pages to which a remap points, from the slot's start on. */
const REMAPPED = 0x100;

/** What the guest is told to do. */
export type Command =
  | { readonly does: 'write'; readonly va: number; readonly pages: number }
  | {
      readonly does: 'random';
      readonly va: number;
      readonly pages: number;
      readonly accesses: number;
      readonly writePercent: number;
      readonly seed: number;
    }
  | { readonly does: 'build'; readonly va: number; readonly pages: number }
  | { readonly does: 'remap'; readonly va: number; readonly pages: number }
  | { readonly does: 'clone' }
  | {
      readonly does: 'switch';
      readonly va: number;
      readonly rounds: number;
      readonly pages: number;
    };

/** A part of a recording: its mark, what the host does then, what the guest is told to do. */
export interface Phase {
  readonly mark: string;
  /** Pages of the slot that the host discards. */
  readonly discard?: { readonly first: number; readonly pages: number };
  readonly commands: readonly Command[];
}

export function shadowGuest(phases: readonly Phase[], vcpus: number): GuestImage {
  const commands = phases.flatMap((phase) => phase.commands);
  return {
    memory: [LOW, SLOT],
    words: imageWords(),
    root: IMAGE_ROOT,
    tables: DESCRIPTORS,
    deeds: deedsOf(phases),
    phases: phases.map((phase) => phase.mark),
    body: (cpu, index) => guestBody(cpu, index, vcpus, commands),
  };
}

/** What user space does after each OUT: the first comes when the guest has started. */
function deedsOf(phases: readonly Phase[]): HostDeed[][] {
  const deeds: HostDeed[][] = [[]];
  phases.forEach((phase, number) => {
    const now = deeds[deeds.length - 1]!;
    now.push({ kind: 'phase', number });
    if (phase.discard !== undefined) {
      const first = SLOT.first + phase.discard.first;
      now.push({ kind: 'discard', frames: { first, end: first + phase.discard.pages } });
    }
    for (const _ of phase.commands) deeds.push([]);
  });
  deeds[deeds.length - 1]!.push({ kind: 'end' });
  return deeds;
}

/** What the program keeps in registers from one command to the next. */
interface Memory {
  /** Next page of the bump pool. */
  free: number;
  /** Roots of address spaces: the host's, and clones of it. */
  readonly roots: number[];
  /** Leaf tables that were built, by the linear page of their first entry. */
  leafTable: number;
}

function* guestBody(
  cpu: GuestContext,
  index: number,
  vcpus: number,
  commands: readonly Command[],
): Routine<void> {
  yield* start(cpu);
  if (index === 0) yield* tell(cpu);
  cpu.note(Event.begin, 0, 0);
  const memory: Memory = { free: BUMP, roots: [IMAGE_ROOT], leafTable: 0 };
  for (const [i, command] of commands.entries()) {
    yield* perform(cpu, index, memory, command);
    const isLast = i === commands.length - 1;
    if (isLast) cpu.note(Event.end, 0, 0);
    yield ring(cpu, DONE);
    yield* awaitBell(cpu, DONE, (i + 1) * vcpus);
    if (index === 0) yield* tell(cpu);
  }
  yield* awaitBell(cpu, DONE, Number.MAX_SAFE_INTEGER); // the host ends it
}

/** Code, stack and command block are in use before the first command comes. */
function* start(cpu: GuestContext): Routine<void> {
  yield accessAt(cpu, Place.code, EXECUTE, 'guest.start');
  yield accessAt(cpu, Place.code + FRAME_BYTES, EXECUTE, 'guest.start');
  yield cpu.store(Place.stack, 0, 'guest.start.stack');
  yield cpu.load(Place.command, 'guest.start.command');
}

/** The host answers, and has written the next command by then. */
function* tell(cpu: GuestContext): Routine<void> {
  yield out(cpu, PORT, 0, Place.out, 'guest.tell');
}

function* perform(
  cpu: GuestContext,
  index: number,
  memory: Memory,
  command: Command,
): Routine<void> {
  yield cpu.load(Place.command, 'guest.command');
  switch (command.does) {
    case 'write':
      yield* writePages(cpu, command.va + index * command.pages * FRAME_BYTES, command.pages);
      break;
    case 'random':
      yield* atRandom(cpu, command);
      break;
    case 'build':
      yield* build(cpu, memory, command.va, command.pages);
      break;
    case 'remap':
      yield* remap(cpu, memory, command.va, command.pages);
      break;
    case 'clone':
      return yield* clone(cpu, memory);
    default:
      return yield* switchRounds(cpu, memory, command);
  }
  const result = command.does === 'write' ? Place.sum : Place.result;
  yield cpu.store(result, 0, 'guest.result');
}

function* writePages(cpu: GuestContext, va: number, pages: number): Routine<void> {
  for (let i = 0; i < pages; i++) yield accessAt(cpu, va + i * FRAME_BYTES, WRITE, 'guest.write');
  cpu.note(Event.operation, pages, 0);
}

/** The generator of the recordings: xorshift of 64 bits; state = seed. */
function* atRandom(
  cpu: GuestContext,
  command: Extract<Command, { does: 'random' }>,
): Routine<void> {
  const { va, pages, accesses, writePercent } = command;
  const state = { lo: command.seed | 0, hi: Math.floor(command.seed / 2 ** 32) | 0 };
  for (let i = 0; i < accesses; i++) {
    nextRandom(state);
    const page = ((state.hi >>> 0) * (2 ** 32 % pages) + (state.lo >>> 0)) % pages;
    const kind = (state.hi >>> 8) % 100 < writePercent ? WRITE : READ;
    yield accessAt(cpu, va + page * FRAME_BYTES, kind, 'guest.random');
  }
  cpu.note(Event.operation, accesses, 0);
}

/** x ^= x << 13; x ^= x >> 7; x ^= x << 17, on halves of 64 bits. */
function nextRandom(x: { lo: number; hi: number }): void {
  x.hi ^= (x.hi << 13) | (x.lo >>> 19);
  x.lo ^= x.lo << 13;
  x.lo ^= (x.lo >>> 7) | (x.hi << 25);
  x.hi ^= x.hi >>> 7;
  x.hi ^= (x.hi << 17) | (x.lo >>> 15);
  x.lo ^= x.lo << 17;
}

/** Goes through the gate; RDI afterwards. The instruction behind it is fetched again. */
function* through(cpu: GuestContext, call: GateCall): Routine<number> {
  const rdi = num(yield gate(cpu, call, 'guest.gate'));
  yield accessAt(cpu, call.rip + 2, EXECUTE, 'guest.gate.back');
  return rdi;
}

function readCr3(cpu: GuestContext, rip: number): Routine<number> {
  return through(cpu, { rip, handler: Place.readCr3, argument: 0, deed: 'read-cr3' });
}

function loadCr3(cpu: GuestContext, rip: number, root: number): Routine<number> {
  const argument = root * FRAME_BYTES;
  return through(cpu, { rip, handler: Place.loadCr3, argument, deed: 'load-cr3' });
}

function invlpg(cpu: GuestContext, rip: number, va: number): Routine<number> {
  return through(cpu, { rip, handler: Place.invlpg, argument: va, deed: 'invlpg' });
}

/** `mov [rdi], r11`: an entry of a table, by its place in memory. */
function* setEntry(cpu: GuestContext, at: number, entry: number): Routine<void> {
  cpu.rip = Place.setEntry;
  yield cpu.store(at, entry, 'guest.entry');
}

function entryOf(frame: number): number {
  return frame * FRAME_BYTES + FLAGS;
}

/** A page of the bump pool, zeroed by 512 stores. */
function* newTable(cpu: GuestContext, memory: Memory): Routine<number> {
  const frame = memory.free++;
  for (let i = 0; i < ENTRIES; i++) {
    yield cpu.store(frame * FRAME_BYTES + i * 8, 0, 'guest.table.zero');
  }
  return frame;
}

/** Tables for `pages` pages at `va` to the start of the slot; each level is looked up and made. */
function* build(cpu: GuestContext, memory: Memory, va: number, pages: number): Routine<void> {
  const root = Math.floor((yield* readCr3(cpu, 0x10_1197)) / FRAME_BYTES);
  for (let i = 0; i < pages; i++) {
    const page = va / FRAME_BYTES + i;
    const table = yield* leafTable(cpu, memory, root, page);
    if (i === 0) memory.leafTable = table;
    const at = table * FRAME_BYTES + (page % ENTRIES) * 8;
    yield* setEntry(cpu, at, entryOf(SLOT.first + i));
    yield cpu.store(Place.samples + i * 8, 0, 'guest.sample');
  }
}

function* leafTable(
  cpu: GuestContext,
  memory: Memory,
  root: number,
  page: number,
): Routine<number> {
  let table = root;
  for (let span = ENTRIES ** 3; span > 1; span /= ENTRIES) {
    const at = table * FRAME_BYTES + (Math.floor(page / span) % ENTRIES) * 8;
    const entry = num(yield cpu.load(at, 'guest.look'));
    if (entry % 2 === 1) {
      table = Math.floor(entry / FRAME_BYTES);
      continue;
    }
    const made = yield* newTable(cpu, memory);
    yield* setEntry(cpu, at, entryOf(made));
    table = made;
  }
  return table;
}

/** The first pages point to others, in reverse order; each is invalidated and written to. */
function* remap(cpu: GuestContext, memory: Memory, va: number, pages: number): Routine<void> {
  const root = Math.floor((yield* readCr3(cpu, 0x10_1b60)) / FRAME_BYTES);
  for (let i = 0; i < pages; i++) {
    const page = va / FRAME_BYTES + i;
    const table = yield* leafTable(cpu, memory, root, page);
    const at = table * FRAME_BYTES + (page % ENTRIES) * 8;
    yield* setEntry(cpu, at, entryOf(SLOT.first + REMAPPED + pages - 1 - i));
    yield* invlpg(cpu, 0x10_1bb4, page * FRAME_BYTES);
    yield accessAt(cpu, page * FRAME_BYTES, WRITE, 'guest.remapped');
  }
  cpu.note(Event.operation, pages, 0);
}

/** A second root with the entries of the first. */
function* clone(cpu: GuestContext, memory: Memory): Routine<void> {
  const made = yield* newTable(cpu, memory);
  const root = Math.floor((yield* readCr3(cpu, 0x10_07e1)) / FRAME_BYTES);
  for (let i = 0; i < ENTRIES; i++) {
    const entry = num(yield cpu.load(root * FRAME_BYTES + i * 8, 'guest.clone.look'));
    if (entry % 2 === 0) continue;
    yield* setEntry(cpu, made * FRAME_BYTES + i * 8, entry); // accessed bit and all
  }
  memory.roots.push(made);
}

/** Rounds over all roots, with writes after each switch; then back to the first. */
function* switchRounds(
  cpu: GuestContext,
  memory: Memory,
  { va, rounds, pages }: Extract<Command, { does: 'switch' }>,
): Routine<void> {
  const first = Math.floor((yield* readCr3(cpu, 0x10_1279)) / FRAME_BYTES);
  yield cpu.load(Place.roots, 'guest.roots');
  for (let round = 0; round < rounds; round++) {
    for (const root of memory.roots) {
      yield* loadCr3(cpu, 0x10_12eb, root);
      yield* writePages(cpu, va, pages);
    }
  }
  yield* loadCr3(cpu, 0x10_1383, first);
}
