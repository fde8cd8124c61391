/**
 * What a hypervisor stands on, whatever level it is of: a boot arena, frames, and the CPUs it may
 * use. Addresses are of its own memory: host-physical for the host, guest-physical for a guest
 * hypervisor, whose every access then goes through the host's second stage.
 */
import type { Arena } from '../alloc/arena.ts';
import type { BootMemory, Frames } from '../alloc/frames.ts';
import type { Virtualisation } from './virt/virt.ts';

export interface Platform {
  readonly name: string;
  readonly arena: Arena;
  readonly frames: Frames;
  /**
   * Its threads wait in HLT when they have nothing to do, as on CPUs without MWAIT, of which a
   * guest's are some; unless it says so, they wait at a word (MONITOR, MWAIT).
   */
  readonly idle?: 'halt';
  /** CPUs that this hypervisor's threads run on: their `seat` is below. */
  readonly cpus: number;
  /** The virtualisation extension that it finds, real or emulated. */
  readonly virt: Virtualisation;
  /** Words of this memory before anybody runs. */
  readonly boot: BootMemory;
}
