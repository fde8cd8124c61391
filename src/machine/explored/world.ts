/**
 * A copy of a system for exploration, before anything runs, and what a hart of it needs to know
 * beside its machine.
 */
import type { Context } from '../../runtime/context.ts';
import type { GuestContext } from '../guest.ts';
import type { Machine } from '../machine.ts';
import type { TapeMemory } from './memory.ts';
import type { Notes } from './notes.ts';

export interface World {
  readonly machine: Machine;
  readonly memory: TapeMemory;
  /** Who hears the notes that code emits. */
  readonly notes: Notes;
  /**
   * Objects that only the code of hart `hart` changes (a vCPU's "active" and "loaded"): their
   * numbers, booleans and references to guests are part of its local state.
   */
  privates(hart: number): readonly object[];
  /**
   * Operation codes of acts of host threads that touch nothing but what the CPU's own threads
   * touch: they are no moves of their own, but happen with the move before.
   */
  readonly silent?: ReadonlySet<number>;
  /** Guests' stores do not wait in the store buffer. */
  readonly guestsAtOnce?: boolean | undefined;
  /** Frames of the second-stage roots whose translations are cached in the most hostile way. */
  readonly roots: readonly number[];
}

/** Guests whose vCPU thread runs on a CPU. */
export function guestsOf(machine: Machine, cpu: number): GuestContext[] {
  return machine.guests.filter((guest) => guest.homeCpu === cpu);
}

/** Contexts of a CPU: its host thread, then its guests. */
export function contextsOf(machine: Machine, cpu: number): Context[] {
  const { host } = machine.cpus[cpu]!;
  return [...(host === undefined ? [] : [host]), ...guestsOf(machine, cpu)];
}
