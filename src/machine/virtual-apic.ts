/**
 * Virtual interrupts. What others post for a vCPU are words in memory: a bit per vector, and
 * whether a notification is outstanding (the posted-interrupt descriptor). What the vCPU has
 * accepted are registers of its virtual APIC, changed by its own CPU only: what it requests (IRR)
 * and what it services (ISR). A vector that is posted twice before it is accepted is one interrupt.
 *
 * Source: Intel SDM vol. 3, 30.1.1 (priorities), 30.2 (delivery, EOI virtualisation) and 30.6
 * (posted-interrupt processing); primer/x86.md 4.2.
 * Leaves out: vectors below 192 (devices have those), suppressed notifications, the task priority,
 * interrupt windows (what is accepted waits in the APIC until the guest takes it).
 */
import { defect } from '../base/assert.ts';
import { power } from '../base/bits.ts';
import type { Act, Word } from '../runtime/act.ts';
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import type { GuestContext } from './guest.ts';
import { Instruction, PASSED_MSRS } from './instruction.ts';
import type { Machine } from './machine.ts';
import { Charge } from './preset/price.ts';

/** First of the vectors that a descriptor's word has bits for: those of system interrupts. */
const FIRST = 192;
const HALF = 32;
/** Vectors of one priority class share their upper four bits. */
const CLASS = 16;

/** The bit of a vector, as a number that `Context.or` takes. */
export function vectorBit(vector: number): number {
  if (vector < FIRST || vector > 255) defect('vectorBit', `${vector} is no system vector`);
  return power(vector - FIRST);
}

/** The vectors that a word of bits holds, the highest first. */
export function vectorsOf(word: Word): number[] {
  return vectorsIn(word.lo, word.hi);
}

function vectorsIn(lo: number, hi: number): number[] {
  const found: number[] = [];
  let half = hi;
  for (let base = FIRST + HALF; base >= FIRST; base -= HALF) {
    while (half !== 0) {
      const bit = HALF - 1 - Math.clz32(half);
      found.push(base + bit);
      half &= ~(1 << bit);
    }
    half = lo;
  }
  return found;
}

export class VirtualApic {
  /** The vector that the guest takes next; 0: none. */
  deliverable = 0;
  /** Vectors accepted and not yet taken, the highest first. */
  readonly requested: number[] = [];
  /** Vectors taken whose end was not yet signalled, the highest last. */
  readonly inService: number[] = [];
  /** Whether handlers signal the end; without, an interrupt is over as soon as it is taken. */
  signalsEnd = false;

  accept(vector: number): void {
    if (this.requested.includes(vector)) return;
    this.requested.push(vector);
    this.requested.sort((a, b) => b - a);
    this.#judge();
  }

  /** The guest takes what is deliverable. */
  take(): number {
    const vector = this.requested.shift() ?? defect('VirtualApic.take', 'nothing is requested');
    if (this.signalsEnd) this.inService.push(vector);
    this.#judge();
    return vector;
  }

  /** EOI: what is serviced with the highest priority is over. */
  end(): void {
    this.inService.pop();
    this.#judge();
  }

  #judge(): void {
    const next = this.requested[0] ?? 0;
    const current = this.inService[this.inService.length - 1] ?? 0;
    this.deliverable = Math.floor(next / CLASS) > Math.floor(current / CLASS) ? next : 0;
  }
}

/** What a guest does to its APIC and MSRs without an exit; false: something else, or it exits. */
export function performApic(m: Machine, cpu: Cpu, guest: GuestContext, { op, at }: Act): boolean {
  switch (op) {
    case Instruction.halt:
      guest.masked = false; // STI; HLT: nothing is taken in between
      return guest.apic.deliverable !== 0;
    case Instruction.rdmsr:
    case Instruction.wrmsr:
      if (!PASSED_MSRS.has(at)) return false;
      pay(m, cpu, Charge.msr);
      return true;
    case Instruction.endInterrupt:
      if (!guest.regime.virtualIpis) return false;
      pay(m, cpu, Charge.msr);
      guest.apic.end();
      return true;
    default:
      return false;
  }
}

/** Byte offset from the word of vectors to the one that says that a notification is outstanding. */
export const OUTSTANDING = 8;

/**
 * Hardware posts a vector in the target's descriptor (IPI virtualisation); the CPU that runs the
 * target is notified unless it was and has not looked since. Part of the price of an IPI.
 */
export function postInterrupt(
  m: Machine,
  from: Cpu,
  target: GuestContext,
  vector: number,
  notify: (to: Cpu) => void,
): void {
  if (from.guest === target) {
    target.apic.accept(vector); // to itself: no descriptor is needed
    return;
  }
  if (target.posted === 0) defect('postInterrupt', `${target.name} has no descriptor`);
  const at = m.memory.place(target.posted);
  const half = vector < FIRST + HALF ? 0 : 1;
  const { words } = m.memory;
  words[at + half] = words[at + half]! | (1 << ((vector - FIRST) % HALF));
  const outstanding = m.memory.place(target.posted + OUTSTANDING);
  if (words[outstanding] !== 0) return;
  words[outstanding] = 1;
  notify(m.cpus[target.homeCpu]!);
}

/**
 * The CPU that runs `guest` accepts what was posted: when it is notified, and around entries and
 * exits. The latter are looks of software (kvm_apic_sync_pir_to_irr), whose price is in that of
 * every exit's dispatch.
 */
export function acceptPosted(m: Machine, guest: GuestContext): void {
  if (guest.posted === 0) return;
  const { words } = m.memory;
  const outstanding = m.memory.indexOf(guest.posted + OUTSTANDING);
  if (words[outstanding] === 0) return;
  words[outstanding] = 0;
  const at = m.memory.place(guest.posted);
  const vectors = vectorsIn(words[at]!, words[at + 1]!);
  words[at] = 0;
  words[at + 1] = 0;
  for (const vector of vectors) guest.apic.accept(vector);
}
