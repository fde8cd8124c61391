/**
 * The scene of `npm run bench:check` in the product's own code: remote flush, write lock, run loop
 * and interrupt answers are the hypervisor's; only who does what is said here. bench/spin is the
 * same in Promela.
 *
 * Unmappers put a frame of their own into the one entry if it is empty, and take away whatever is
 * there: no fault maps anything, so that what is explored is the flush and nothing else. A store
 * without a translation is dropped. Frames are not used twice; a word of each says that it is free.
 */
import { Arena } from '../src/alloc/arena.ts';
import { Frames } from '../src/alloc/frames.ts';
import { addVcpus, startVcpus } from '../src/design/host.ts';
import { emulateCpuid, ignoreInterrupt, retire } from '../src/hypervisor/emulate.ts';
import { flushRemote } from '../src/hypervisor/flush/request-kick.ts';
import { entryAt, MmuWords } from '../src/hypervisor/mmu/common.ts';
import type { Platform } from '../src/hypervisor/platform.ts';
import type { ExitTable, Vcpu, Vm } from '../src/hypervisor/vcpu.ts';
import { vmx } from '../src/hypervisor/virt/vmx.ts';
import { ExitReason } from '../src/machine/exit.ts';
import type { Entry, Geometry } from '../src/machine/format/format.ts';
import type { WalkedFormat } from '../src/machine/format/judge.ts';
import type { GuestContext } from '../src/machine/guest.ts';
import { cpuid, vmcall } from '../src/machine/instruction.ts';
import type { Machine } from '../src/machine/machine.ts';
import type { Routine } from '../src/runtime/act.ts';
import type { Context } from '../src/runtime/context.ts';
import { type RwLock, rwlock, writeLock, writeUnlock } from '../src/sync/rwlock.ts';
import type { Size } from './check-row.ts';

/** Two levels of one index bit; page 0 is the page. */
export const GEOMETRY: Geometry = { levels: 2, indexBits: 1 };
const BOOT_FRAMES = 48;
const POOL_FRAMES = 32; // nobody takes one
const STORES = 2;
const WORD_BYTES = 8;

export interface Shootdown {
  readonly vm: Vm;
  /** Frame of the second-stage root. */
  readonly root: number;
  /** Address of the page's entry. */
  readonly entry: number;
  /** Frames that are ever mapped, from `first` on. */
  readonly frames: { readonly first: number; readonly count: number };
  /** Address of the word that is 1 once a frame is free. */
  freedAt(frame: number): number;
}

interface Scene extends Shootdown {
  readonly lock: RwLock;
  readonly format: WalkedFormat;
}

/** Puts the scene on a machine whose second stage has the geometry above; nothing has run yet. */
export function buildShootdown(machine: Machine, size: Size): Shootdown {
  const { unmappers, vcpus, rounds } = size;
  const arena = new Arena(1, BOOT_FRAMES);
  const region = { base: BOOT_FRAMES, limit: BOOT_FRAMES + POOL_FRAMES };
  const cpus = vcpus + unmappers;
  const frames = new Frames(arena, region, cpus);
  const platform: Platform = { name: 'l0', arena, frames, cpus, boot: machine.memory, virt: vmx };
  const vm: Vm = { name: 'guest', platform, vcpus: [] };
  const format = machine.translator.secondStage;
  const root = arena.frames(1);
  const table = arena.frames(1);
  const entry = entryAt(GEOMETRY, table, 0, 0);
  writeEntry(machine, entryAt(GEOMETRY, root, 0, 1), format.table(table));
  writeEntry(machine, entry, format.empty);
  const count = unmappers * rounds;
  const first = arena.frames(count);
  const freed = arena.take(count * WORD_BYTES);
  const lockAt = arena.place(MmuWords) + MmuWords.at.lock;
  const scene: Scene = {
    vm,
    root,
    entry,
    frames: { first, count },
    freedAt: (frame) => freed + (frame - first) * WORD_BYTES,
    lock: rwlock(lockAt, 'l0.mmu'),
    format,
  };
  const guests = Array.from({ length: vcpus }, (_, i) => guestOn(machine, i));
  addVcpus(vm, guests, { root, vpid: 1, virtualIpis: false }, EXITS);
  startVcpus(machine, vm);
  for (let i = 0; i < unmappers; i++) {
    const own = first + i * rounds;
    machine.hostThread(vcpus + i, `unmapper.${i}`, (me) => unmapper(me, scene, own, rounds));
  }
  return scene;
}

function writeEntry(machine: Machine, at: number, { lo, hi }: Entry): void {
  machine.memory.writeHalves(at, lo, hi);
}

function guestOn(machine: Machine, seat: number): GuestContext {
  const guest = machine.guest(1, `guest.${seat}`);
  guest.seat = seat;
  guest.push(program(guest));
  return guest;
}

/** An exit between two stores lets the vCPU enter with what it cached before. */
function* program(cpu: GuestContext): Routine<void> {
  for (let i = 1; i <= STORES; i++) {
    yield cpu.store(0, i, 'guest.write');
    if (i < STORES) yield cpuid(cpu, 0, 'guest.leave');
  }
  yield vmcall(cpu, 0, [], 'guest.done');
}

const EXITS: ExitTable = new Map([
  [ExitReason.externalInterrupt, ignoreInterrupt],
  [ExitReason.cpuid, emulateCpuid],
  [ExitReason.eptViolation, drop],
  [ExitReason.vmcall, end],
]);

function* drop(cpu: Context, v: Vcpu): Routine<void> {
  yield* retire(cpu, v, 0);
}

function* end(_cpu: Context, v: Vcpu): Routine<void> {
  v.active.guest.kill();
}

function* unmapper(cpu: Context, scene: Scene, own: number, rounds: number): Routine<void> {
  for (let round = 0; round < rounds; round++) yield* mapAndUnmap(cpu, scene, own + round);
}

function* mapAndUnmap(cpu: Context, scene: Scene, own: number): Routine<void> {
  const { entry, lock, format, vm } = scene;
  yield cpu.casWord(entry, format.empty, leafOf(format, own), 'shootdown.map');
  yield* writeLock(cpu, lock, 'tdp.unmap.lock');
  const seen = format.decode(yield cpu.load(entry, 'tdp.zap.look-leaf'), 0);
  if (seen.kind === 'leaf') {
    yield cpu.exchangeWord(entry, format.empty, 'tdp.zap.clear');
    yield* flushRemote(cpu, vm);
  }
  yield* writeUnlock(cpu, lock, 'tdp.unmap.unlock');
  if (seen.kind === 'leaf') yield cpu.store(scene.freedAt(seen.pfn), 1, 'shootdown.free');
}

function leafOf(format: WalkedFormat, pfn: number): Entry {
  const rights = { read: true, write: true, execute: true, user: true };
  const bits = { accessed: true, dirty: true, hostWritable: true, mmuWritable: true };
  return format.leaf({ pfn, level: 0, rights, ...bits });
}
