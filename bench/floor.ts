/**
 * What a `kpop` fault that L1 decides costs at least: the same number and kinds of acts, plain
 * words, charges and notes in one routine of one host thread, with no hypervisor, guest, walk or
 * world switch around them. Through the timed scheduler, every act in turn and on the spot, and as
 * a bare loop over a typed array with a clock. In CPU time, because other jobs may run beside.
 *
 * The acts that switch worlds, walk or move pages are loads here, the cheapest of all: so these are
 * bounds that a whole system cannot reach.
 */
import { vmptrld, vmread, vmwrite } from '../src/machine/instruction.ts';
import { Machine } from '../src/machine/machine.ts';
import { intelCascadeLake } from '../src/machine/preset/intel-cascade-lake.ts';
import { Unit } from '../src/machine/preset/price.ts';
import { Field } from '../src/machine/vmcs.ts';
import { num, type Routine } from '../src/runtime/act.ts';
import type { Context } from '../src/runtime/context.ts';
import { Event, type TraceSink } from '../src/runtime/trace.ts';
import { type Acting, runTimed } from '../src/schedule/timed.ts';
import type { BenchResult, Size } from './simulated.ts';

/**
 * Of an average fault, as counted in `kpop touch` with one vCPU. `loads` holds 33 loads and the ten
 * acts that are loads only here: 3 accesses, 2 entries, a hypercall, 3 pages zeroed, a record.
 */
const PER_FAULT = {
  loads: 43,
  stores: 8,
  swaps: 5,
  additions: 6,
  fences: 3,
  fieldReads: 8,
  otherFields: 3,
  reads: 48,
  writes: 23,
  charges: 26,
  notes: 11,
} as const;
/** Acts of such a fault: the first seven rows. */
export const ACTS_PER_FAULT = 76;

const FAULTS = { full: 40_000, quick: 50 } as const;
const ROUNDS = { full: 4, quick: 1 } as const;
const BASE = 0x10000;
const WORDS = 64;
const VMCS = 8;

function at(i: number): number {
  return BASE + ((i * 5) & (WORDS - 1)) * 8;
}

function* acts(me: Context): Routine<number> {
  let sum = 0;
  for (let i = 0; i < PER_FAULT.loads; i++) sum += num(yield me.load(at(i), 'floor.load'));
  for (let i = 0; i < PER_FAULT.stores; i++) yield me.store(at(i), i, 'floor.store');
  for (let i = 0; i < PER_FAULT.swaps; i++) yield me.cas(at(i), i, i + 1, 'floor.swap');
  for (let i = 0; i < PER_FAULT.additions; i++) yield me.add(at(i), 1, 'floor.add');
  for (let i = 0; i < PER_FAULT.fences; i++) yield me.fence('floor.fence');
  for (let i = 0; i < PER_FAULT.fieldReads; i++) {
    sum += num(yield vmread(me, Field.exitReason, 'floor.field'));
  }
  yield vmwrite(me, Field.guestRip, sum & 0xffff, 'floor.set-field');
  for (let i = 1; i < PER_FAULT.otherFields; i++) yield vmptrld(me, VMCS, 'floor.vmcs');
  return sum;
}

function plainWords(me: Context): number {
  let sum = 0;
  for (let i = 0; i < PER_FAULT.reads; i++) sum += me.read(at(i));
  for (let i = 0; i < PER_FAULT.writes; i++) me.write(at(i), i);
  for (let i = 0; i < PER_FAULT.charges; i++) me.spend(Unit.levelWalked, 1);
  for (let i = 0; i < PER_FAULT.notes; i++) me.note(Event.mark, i, 0);
  return sum;
}

function* faults(me: Context, count: number): Routine<void> {
  yield vmptrld(me, VMCS, 'floor.vmcs');
  for (let i = 0; i < count; i++) {
    yield* acts(me);
    plainWords(me);
  }
}

function throughScheduler(count: number, acting: Acting): void {
  const counts = new Float64Array(32);
  const trace: TraceSink = {
    event(kind): void {
      counts[kind] = counts[kind]! + 1;
    },
  };
  const machine = new Machine({ preset: intelCascadeLake, cpus: 1, trace });
  machine.hostThread(0, 'floor', (me) => faults(me, count));
  const { steps } = runTimed(machine, acting);
  if (steps !== count * ACTS_PER_FAULT + 1) throw new Error(`${steps} acts for ${count} faults`);
}

/** No contexts, no labels, no lines, no translation: halves of words, and a clock. */
function bareLoop(count: number): void {
  const words = new Int32Array(2 * WORDS);
  const { loads, stores, swaps, additions, fences } = PER_FAULT;
  const { fieldReads, otherFields, reads, writes, charges, notes } = PER_FAULT;
  let clock = 0;
  let sum = 0;
  const index = (i: number): number => 2 * ((i * 5) & (WORDS - 1));
  for (let fault = 0; fault < count; fault++) {
    for (let i = 0; i < loads + fieldReads + reads; i++) {
      sum += (words[index(i) + 1]! >>> 0) * 2 ** 32 + (words[index(i)]! >>> 0);
      clock += 4;
    }
    for (let i = 0; i < stores + otherFields + writes; i++) {
      words[index(i)] = i;
      words[index(i) + 1] = 0;
      clock += 4;
    }
    for (let i = 0; i < swaps; i++) {
      if (words[index(i)] === i && words[index(i) + 1] === 0) words[index(i)] = i + 1;
      clock += 18;
    }
    for (let i = 0; i < additions; i++) {
      words[index(i)] = words[index(i)]! + 1;
      clock += 18;
    }
    for (let i = 0; i < fences + charges + notes; i++) clock += i;
  }
  if (clock + sum === 0) throw new Error('nothing was done');
}

/** Faults per second of CPU time, the best of some rounds after one to warm up. */
function rate(size: Size, run: (count: number) => void): number {
  let best = 0;
  for (let round = 0; round <= ROUNDS[size]; round++) {
    const before = process.cpuUsage();
    run(FAULTS[size]);
    const { user, system } = process.cpuUsage(before);
    if (round > 0) best = Math.max(best, (FAULTS[size] * 1e6) / Math.max(1, user + system));
  }
  return best;
}

export function benchFloor(size: Size): BenchResult[] {
  const row = (name: string, run: (count: number) => void): BenchResult => {
    return { name: `floor of touch, kpop: ${name}`, perSecond: rate(size, run), unit: 'faults' };
  };
  return [
    row('acts in turn', (count) => throughScheduler(count, 'in turn')),
    row('acts on the spot', (count) => throughScheduler(count, 'on the spot')),
    row('bare loop', bareLoop),
  ];
}
