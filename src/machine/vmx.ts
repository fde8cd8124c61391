/** Intel VMX: the control block is the current VMCS; translations are tagged VPID and EP4TA. */
import type { Cpu } from './cpu.ts';
import { ExitReason } from './exit.ts';
import { EPT_DEFAULTS, ept } from './format/ept.ts';
import { MALFORMED } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import { Instruction } from './instruction.ts';
import type { Machine } from './machine.ts';
import { FRAME_BYTES } from './memory.ts';
import type { Vendor } from './vendor.ts';
import { Field, IPI_VIRTUALISATION } from './vmcs.ts';
import type { ExitInformation } from './world-switch.ts';

function load({ memory }: Machine, cpu: Cpu, { regime }: GuestContext): void {
  const at = memory.base(cpu.block);
  const root = Math.floor(memory.valueAt(at + 2 * Field.eptp) / FRAME_BYTES);
  regime.root = root;
  regime.tag = root;
  regime.vpid = memory.valueAt(at + 2 * Field.vpid);
  regime.shadowVmcs = memory.valueAt(at + 2 * Field.linkPointer);
  const controls = memory.valueAt(at + 2 * Field.tertiaryControls);
  regime.virtualIpis = (controls & IPI_VIRTUALISATION) !== 0;
}

function record({ memory }: Machine, cpu: Cpu, information: ExitInformation): void {
  const at = memory.placeFrame(cpu.block);
  memory.setValueAt(at + 2 * Field.exitReason, information.reason);
  memory.setValueAt(at + 2 * Field.exitQualification, information.qualification ?? 0);
  memory.setValueAt(at + 2 * Field.exitGuestPhysical, information.guestPhysical ?? 0);
  memory.setValueAt(at + 2 * Field.exitGuestLinear, information.guestLinear ?? 0);
  memory.setValueAt(at + 2 * Field.exitInterruption, 0);
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
    [Instruction.sendIpi]: ExitReason.msrWrite,
    [Instruction.vmcall]: ExitReason.vmcall,
    [Instruction.cpuid]: ExitReason.cpuid,
  },
  violation: (outcome) =>
    outcome === MALFORMED ? ExitReason.eptMisconfig : ExitReason.eptViolation,
  load,
  record,
};
