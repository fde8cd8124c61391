/** Intel VMX: the control block is the current VMCS; translations are tagged VPID and EP4TA. */
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import { ExitReason } from './exit.ts';
import { EPT_DEFAULTS, ept } from './format/ept.ts';
import { LOG_FULL, MALFORMED, type Outcome } from './format/judge.ts';
import type { GuestContext, Regime } from './guest.ts';
import { Instruction } from './instruction.ts';
import type { Machine } from './machine.ts';
import { FRAME_BYTES } from './memory.ts';
import { Charge } from './preset/price.ts';
import type { Vendor } from './vendor.ts';
import { ENABLE_PML, Field, IPI_VIRTUALISATION } from './vmcs.ts';
import type { ExitInformation } from './world-switch.ts';

function load(m: Machine, cpu: Cpu, { regime }: GuestContext): void {
  const { memory } = m;
  const at = memory.base(cpu.block);
  const root = Math.floor(memory.valueAt(at + 2 * Field.eptp) / FRAME_BYTES);
  regime.root = root;
  regime.tag = root;
  regime.vpid = memory.valueAt(at + 2 * Field.vpid);
  if (root === 0) loadShadow(m, cpu, regime, at);
  regime.shadowVmcs = memory.valueAt(at + 2 * Field.linkPointer);
  const controls = memory.valueAt(at + 2 * Field.tertiaryControls);
  regime.virtualIpis = (controls & IPI_VIRTUALISATION) !== 0;
  const secondary = memory.valueAt(at + 2 * Field.secondaryControls);
  regime.logs = (secondary & ENABLE_PML) !== 0;
}

function violation(outcome: Outcome): number {
  if (outcome === LOG_FULL) return ExitReason.pmlFull;
  return outcome === MALFORMED ? ExitReason.eptMisconfig : ExitReason.eptViolation;
}

/** EPT is off: the hypervisor's own tables are in CR3, and an exception may be injected. */
function loadShadow(m: Machine, cpu: Cpu, regime: Regime, at: number): void {
  const { memory } = m;
  regime.shadowRoot = Math.floor(memory.valueAt(at + 2 * Field.guestCr3) / FRAME_BYTES);
  if (memory.valueAt(at + 2 * Field.entryInterruption) === 0) return;
  memory.setValueAt(at + 2 * Field.entryInterruption, 0);
  pay(m, cpu, Charge.exception);
}

function record({ memory }: Machine, cpu: Cpu, information: ExitInformation): void {
  const at = memory.placeFrame(cpu.block);
  memory.setValueAt(at + 2 * Field.exitReason, information.reason);
  memory.setValueAt(at + 2 * Field.exitQualification, information.qualification ?? 0);
  memory.setValueAt(at + 2 * Field.exitGuestPhysical, information.guestPhysical ?? 0);
  memory.setValueAt(at + 2 * Field.exitGuestLinear, information.guestLinear ?? 0);
  memory.setValueAt(at + 2 * Field.exitInterruption, information.vector ?? 0);
  if (information.vector !== undefined) {
    memory.setValueAt(at + 2 * Field.exitInterruptionError, information.errorCode ?? 0);
  }
  memory.setValueAt(at + 2 * Field.exitIdtVectoring, 0);
  memory.setValueAt(at + 2 * Field.exitInstructionLength, 3);
}

export const intel: Vendor = {
  id: 'intel',
  secondStage: (geometry, maxPhyBits) =>
    ept(geometry, { ...EPT_DEFAULTS, maxPhyBits, accessDirty: true }),
  interrupt: ExitReason.externalInterrupt,
  traps: {
    [Instruction.enter]: ExitReason.vmresume,
    [Instruction.vmread]: ExitReason.vmread,
    [Instruction.vmwrite]: ExitReason.vmwrite,
    [Instruction.vmptrld]: ExitReason.vmptrld,
    [Instruction.invept]: ExitReason.invept,
    [Instruction.invvpid]: ExitReason.invvpid,
    [Instruction.invlpg]: ExitReason.invlpg,
    [Instruction.loadCr3]: ExitReason.crAccess,
    [Instruction.out]: ExitReason.io,
    [Instruction.sendIpi]: ExitReason.msrWrite,
    [Instruction.vmcall]: ExitReason.vmcall,
    [Instruction.cpuid]: ExitReason.cpuid,
    [Instruction.halt]: ExitReason.hlt,
    [Instruction.rdmsr]: ExitReason.msrRead,
    [Instruction.wrmsr]: ExitReason.msrWrite,
    [Instruction.armTimer]: ExitReason.msrWrite,
    [Instruction.endInterrupt]: ExitReason.msrWrite,
  },
  violation,
  load,
  record,
};
