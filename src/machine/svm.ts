/**
 * AMD SVM: VMRUN names its VMCB; every translation, linear or nested, carries one tag, the ASID.
 * Before it enters, VMRUN drops what TLB_CONTROL names; nothing drops nested translations alone.
 *
 * Source: AMD APM vol. 2, 15.5 (VMRUN), 15.6 (#VMEXIT), 15.16 (TLB control), 15.17 (GIF), 15.33
 * (VMLOAD, VMSAVE and GIF virtualisation), vol. 3, INVLPGB and TLBSYNC.
 *
 * Leaves out: the values that VMLOAD and VMSAVE move (guests of this model do not use them); that
 * ASID 0 is the host's. Unverified: whether INVLPGB with its "nested" bit drops every translation
 * of an ASID on all parts that have it (here it does).
 */
import { defect } from '../base/assert.ts';
import type { Frame } from '../runtime/context.ts';
import { Event } from '../runtime/trace.ts';
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import { SvmExit } from './exit.ts';
import { READ, WRITE } from './format/judge.ts';
import { npt } from './format/npt.ts';
import type { GuestContext } from './guest.ts';
import { Instruction } from './instruction.ts';
import type { Machine } from './machine.ts';
import { FRAME_BYTES } from './memory.ts';
import { Charge } from './preset/price.ts';
import type { Vendor } from './vendor.ts';
import { AVIC_ENABLE, asidOf, TlbControl, V_GIF_ENABLE, VIRTUAL_VMLOAD, Vmcb } from './vmcb.ts';
import type { ExitInformation } from './world-switch.ts';

/** Bytes of every instruction that exits. */
const LENGTH = 3;
const TWO32 = 2 ** 32;

function load(m: Machine, cpu: Cpu, { regime }: GuestContext): void {
  const { memory } = m;
  const at = memory.base(cpu.block);
  const get = (offset: number): number => memory.valueAt(at + offset / 4);
  const word = get(Vmcb.asid);
  const asid = asidOf(word);
  if (asid === 0) defect('VMRUN', 'ASID 0 is the host’s: VMEXIT_INVALID');
  regime.root = Math.floor(get(Vmcb.nestedCr3) / FRAME_BYTES);
  regime.tag = asid;
  regime.vpid = asid;
  const control = get(Vmcb.interruptControl);
  regime.virtualIpis = control % (2 * AVIC_ENABLE) >= AVIC_ENABLE;
  regime.virtualGif = (control & V_GIF_ENABLE) !== 0;
  regime.virtualLoad = (get(Vmcb.virtualExtensions) & VIRTUAL_VMLOAD) !== 0;
  drop(m, cpu, asid, Math.floor(word / TWO32));
}

/** What TLB_CONTROL asks for. */
function drop(m: Machine, cpu: Cpu, asid: number, control: number): void {
  if (control === TlbControl.none) return;
  if (control === TlbControl.all) cpu.tlb.dropAll();
  else cpu.tlb.dropAsid(asid); // there are no global pages here
  pay(m, cpu, Charge.asidFlush);
  m.trace.event(Event.flush, cpu.id, cpu.now, Instruction.vmrun, asid);
}

function record({ memory }: Machine, cpu: Cpu, information: ExitInformation): void {
  const at = memory.placeFrame(cpu.block);
  const put = (offset: number, value: number): void => memory.setValueAt(at + offset / 4, value);
  put(Vmcb.exitCode, information.reason);
  put(Vmcb.exitInfo1, information.qualification ?? 0);
  put(Vmcb.exitInfo2, information.guestPhysical ?? 0);
  put(Vmcb.exitIntInfo, 0);
  put(Vmcb.nextRip, memory.valueAt(at + Vmcb.rip / 4) + LENGTH);
}

export const amd: Vendor = {
  id: 'amd',
  secondStage: (geometry, maxPhyBits) => npt(geometry, { maxPhyBits }),
  interrupt: SvmExit.interrupt,
  traps: {
    [Instruction.vmrun]: SvmExit.vmrun,
    [Instruction.vmload]: SvmExit.vmload,
    [Instruction.vmsave]: SvmExit.vmsave,
    [Instruction.stgi]: SvmExit.stgi,
    [Instruction.clgi]: SvmExit.clgi,
    [Instruction.invlpga]: SvmExit.invlpga,
    [Instruction.invlpgb]: SvmExit.invlpgb,
    [Instruction.sendIpi]: SvmExit.msr,
    [Instruction.vmcall]: SvmExit.vmmcall,
    [Instruction.cpuid]: SvmExit.cpuid,
    [Instruction.halt]: SvmExit.hlt,
    [Instruction.rdmsr]: SvmExit.msr,
    [Instruction.wrmsr]: SvmExit.msr,
    [Instruction.armTimer]: SvmExit.msr,
    [Instruction.endInterrupt]: SvmExit.msr,
  },
  violation: () => SvmExit.nestedPageFault,
  load,
  record,
};

/** The instructions of SVM but VMRUN, in root mode; false if `op` is none of them. */
export function performSvm(m: Machine, cpu: Cpu, frame: Frame): boolean {
  const { act } = frame;
  switch (act.op) {
    case Instruction.vmload:
      pay(m, cpu, Charge.vmload);
      return true;
    case Instruction.vmsave:
      pay(m, cpu, Charge.vmsave);
      return true;
    case Instruction.stgi:
    case Instruction.clgi:
      pay(m, cpu, Charge.globalInterruptFlag);
      return true;
    case Instruction.invlpga:
      pay(m, cpu, Charge.invlpga);
      cpu.tlb.dropPageOfAsid(act.lo, act.at);
      m.trace.event(Event.flush, cpu.id, cpu.now, act.op, act.lo);
      return true;
    case Instruction.invlpgb:
      invlpgb(m, cpu, act.at);
      return true;
    case Instruction.tlbsync:
      pay(m, cpu, flightOf(m));
      pay(m, cpu, Charge.tlbsync);
      return true;
    default:
      return false;
  }
}

/** The price of the way to another CPU that no CPU goes ahead of (`Machine.lookahead`). */
function flightOf({ cost: { hardware } }: Machine): number {
  const { ipiSameSocket, ipiCrossSocket } = hardware;
  return ipiSameSocket <= ipiCrossSocket ? Charge.ipiSameSocket : Charge.ipiCrossSocket;
}

/**
 * Drops an ASID, nested translations included, on every CPU. It is over everywhere when the TLBSYNC
 * after it is, and until then a CPU may use what it had: none goes ahead by more than `lookahead`.
 */
function invlpgb(m: Machine, cpu: Cpu, asid: number): void {
  pay(m, cpu, Charge.invlpgb);
  for (const each of m.cpus) each.tlb.dropAsid(asid);
  m.trace.event(Event.flush, cpu.id, cpu.now, Instruction.invlpgb, asid);
}

/** In guest mode without an exit: GIF, and VMLOAD and VMSAVE, where the VMCB virtualises them. */
export function performVirtually(
  m: Machine,
  cpu: Cpu,
  guest: GuestContext,
  frame: Frame,
): 'done' | 'exited' | 'traps' {
  const { act } = frame;
  const { regime } = guest;
  const isGif = act.op === Instruction.stgi || act.op === Instruction.clgi;
  if (isGif && regime.virtualGif) {
    pay(m, cpu, Charge.globalInterruptFlag);
    return 'done';
  }
  const isLoad = act.op === Instruction.vmload;
  if (!regime.virtualLoad || !(isLoad || act.op === Instruction.vmsave)) return 'traps';
  const access = isLoad ? READ : WRITE;
  if (m.translator.guestPhysical(cpu, guest, act.at * FRAME_BYTES, access) < 0) return 'exited';
  pay(m, cpu, isLoad ? Charge.vmload : Charge.vmsave);
  return 'done';
}
