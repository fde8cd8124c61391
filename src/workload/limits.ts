/** What bounds a workload: the memory of a guest, and the kernel's notes about address spaces. */
import { badInput } from '../base/bad-input.ts';
import type { Parameter, Settings } from './workload.ts';

/** Pages that a vCPU may have taken in a batch and not used. */
export const SPARE = 64;
/** Data pages of a vCPU lie within a GiB of its own. */
export const MOST_PER_VCPU = (1 << 18) - SPARE;
/** Pages of all vCPUs together: what a host of this size holds, and a simulation endures. */
export const MOST_PAGES = 1 << 20;
/** The kernel notes who runs an address space in the bits of one word. */
export const MOST_SHARERS = 52;

/** A number of pages per vCPU that all of them together can have. */
export function countOf(settings: Settings, name: string, vcpus: number, most: number): number {
  const count = settings.number(name);
  if (count * vcpus > most) {
    badInput(
      `workload ${settings.name}: ${vcpus} vCPUs with ${count} pages each are more than the ` +
        `${most} pages that a guest may have; ${name}=${Math.floor(most / vcpus)} would fit`,
    );
  }
  return count;
}

/** Refuses more vCPUs than an address space's word of users has bits. */
export function checkSharers(id: string, vcpus: number): void {
  if (vcpus <= MOST_SHARERS) return;
  badInput(
    `workload ${id}: at most ${MOST_SHARERS} vCPUs, because the guest’s kernel notes in one ` +
      `word who runs an address space; ${vcpus} were asked for`,
  );
}

export function roundsOf(unit: string, by: string, describe: string): Parameter {
  return { name: 'rounds', unit, default: by, describe, range: [1, 1_000_000] };
}

export const warm: Parameter = {
  name: 'warm',
  unit: '',
  default: 'yes',
  describe: 'whether one round runs before the measured part, so that guest pages are resident',
  values: ['yes', 'no'],
};
