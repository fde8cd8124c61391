/**
 * What differs between processors of the two vendors where a guest is entered and left: vmx.ts and
 * svm.ts. Everything else of the machine is common.
 */
import type { Cpu } from './cpu.ts';
import type { Geometry } from './format/format.ts';
import type { Outcome, WalkedFormat } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import type { Machine } from './machine.ts';
import type { ExitInformation } from './world-switch.ts';

export interface Vendor {
  readonly id: 'intel' | 'amd';
  /** Format of second-stage tables. */
  secondStage(geometry: Geometry, maxPhyBits: number): WalkedFormat;
  /** Reason of an exit for a physical interrupt. */
  readonly interrupt: number;
  /** Reasons of exits by the instruction that is privileged in guest mode. */
  readonly traps: Readonly<Record<number, number>>;
  /** Reason of the exit for a failed walk of the second stage. */
  violation(outcome: Outcome): number;
  /** Loads what a guest runs with from the CPU's current control block. */
  load(m: Machine, cpu: Cpu, guest: GuestContext): void;
  /** Writes exit information to the control block. */
  record(m: Machine, cpu: Cpu, information: ExitInformation): void;
}
