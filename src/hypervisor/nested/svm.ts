/**
 * Emulated SVM: L1's VMRUN and the #VMEXITs that it gets, in the order of nested_svm_vmrun and
 * nested_svm_vmexit (arch/x86/kvm/svm/nested.c; facts, primer/x86.md 4.2). VMCB12 is memory of
 * L1's; L0 copies it before it checks anything. L1 and L2 run under one ASID, so that each
 * transition drops everything that is cached; what L1 asks by TLB_CONTROL is done with that.
 *
 * Leaves out: checks by meaning but that of the nested root (they are counted), permission maps but
 * for the work of merging them, nested event injection, LBR, host state beyond the registers.
 */
import type { BootMemory } from '../../alloc/frames.ts';
import { SvmExit } from '../../machine/exit.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import {
  asidOf,
  asidWord,
  NESTED_PAGING,
  TlbControl,
  V_GIF,
  V_GIF_ENABLE,
  VIRTUAL_VMLOAD,
  Vmcb,
  VmcbGroups,
  vmcbAt,
} from '../../machine/vmcb.ts';
import { completeAct } from '../../machine/world-switch.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import { advance, retire } from '../emulate.ts';
import type { ExitHandler, Vcpu } from '../vcpu.ts';
import { runningL2 } from './entry.ts';
import type { NestedSide, RefusedFault } from './side.ts';
import { type NestedVcpu, type NestedVm, nestedOf } from './state.ts';

const { control, save, loaded, exit } = VmcbGroups;
/** Fields of the snapshot that are checked before L2 may run. */
const CHECKS = control.length + save.length;
/** Registers of L1 that its block keeps while L2 runs: RFLAGS, EFER, CR0, 3, 4, RAX, RSP, RIP. */
const L1_REGISTERS = 8;
/** Places of the MSR permission map that are merged, one load, one or and one store each. */
const PERMISSION_WORDS = 16;
/** Decoding an instruction and its operand, in controls checked. */
const DECODE_CHECKS = 8;
/** VMCB02 has its own root and tag. */
const MERGED: readonly number[] = control.filter(
  (at) => at !== Vmcb.asid && at !== Vmcb.nestedCr3 && at !== Vmcb.cleanBits,
);
/** EXITINFO1. */
const PRESENT = 1;
const RESERVED = 8;
/** EXITCODE of a VMCB that cannot be run. */
const INVALID = 2 ** 32 - 1;

function copyWords(cpu: Context, from: number, to: number, offsets: readonly number[]): void {
  cpu.spend(Unit.fieldCopied, offsets.length);
  for (const at of offsets) cpu.write(vmcbAt(to, at), cpu.read(vmcbAt(from, at)));
}

/** L1 executed VMRUN. */
function* vmrun(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  const { act } = v.own.guest.top;
  const l2 = act.operand as GuestContext;
  const frame = yield* vm.tdp.backing.find(cpu, act.at);
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  if (frame < 0) return yield* retire(cpu, v, 0); // #GP: no such memory
  yield* advance(cpu, v);
  nested.block12 = act.at;
  copyWords(cpu, frame, nested.cached, control); // L1 may change its page meanwhile
  copyWords(cpu, frame, nested.cached, save);
  cpu.spend(Unit.controlChecked, CHECKS);
  if (!vm.tdp.backing.has(rootOf(cpu, nested))) return yield* refuse(cpu, v, vm);
  cpu.spend(Unit.fieldCopied, L1_REGISTERS + PERMISSION_WORDS);
  copyWords(cpu, nested.cached, nested.vmcs02, MERGED);
  copyWords(cpu, nested.cached, nested.vmcs02, save);
  yield v.virt.flushAll(cpu, v, 'nested.vmrun.flush');
  cpu.spend(Unit.controlChecked, 1); // the request to sync: no table is out of step here
  if (nested.running?.guest !== l2) nested.running = runningL2(vm, l2, nested.vmcs02);
  v.active = nested.running;
}

/** VMRUN of a VMCB that cannot be run: it exits at once. */
function* refuse(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const frame = yield* vm.tdp.backing.find(cpu, nestedOf(vm, v).block12);
  if (frame >= 0) cpu.write(vmcbAt(frame, Vmcb.exitCode), INVALID);
  completeAct(v.own.guest.top, 0);
}

/** What L1 finds in its VMCB, where that is not what hardware said to L0. */
interface Said {
  readonly code: number;
  readonly info1?: number;
  readonly info2?: number;
}

/** #VMEXIT from L2 to L1: VMCB12 is written back, L1's state is that before its VMRUN. */
function* vmexit(cpu: Context, v: Vcpu, vm: NestedVm, said: Said): Routine<void> {
  const nested = nestedOf(vm, v);
  const { vmcs02 } = nested;
  const frame = yield* vm.tdp.backing.find(cpu, nested.block12);
  if (frame >= 0) {
    copyWords(cpu, vmcs02, frame, save);
    copyWords(cpu, vmcs02, frame, exit);
    cpu.write(vmcbAt(frame, Vmcb.exitCode), said.code);
    cpu.write(vmcbAt(frame, Vmcb.exitInfo1), said.info1 ?? 0);
    cpu.write(vmcbAt(frame, Vmcb.exitInfo2), said.info2 ?? 0);
    cpu.write(vmcbAt(frame, Vmcb.eventInjection), 0);
  }
  cpu.spend(Unit.fieldCopied, L1_REGISTERS);
  yield v.virt.flushAll(cpu, v, 'nested.vmexit.flush');
  cpu.spend(Unit.controlChecked, 1); // the request to sync, again
  v.active = v.own;
  cpu.note(Event.nested, said.code, v.own.guest.level);
  completeAct(v.own.guest.top, 0);
}

/** EXITINFO1 for L1: who made the access stays, what was found is what its tables say. */
function codeFor({ code, malformed, rights }: RefusedFault): number {
  const kept = code - (code & (PRESENT | RESERVED));
  if (malformed) return kept + PRESENT + RESERVED;
  return rights === 0 ? kept : kept + PRESENT;
}

function rootOf(cpu: Context, nested: NestedVcpu): number {
  return Math.floor(cpu.read(vmcbAt(nested.cached, Vmcb.nestedCr3)) / FRAME_BYTES);
}

/** VMLOAD or VMSAVE of L1: the hidden state goes between its VMCB and that which it runs with. */
function* moveHidden(
  cpu: Context,
  v: Vcpu,
  vm: NestedVm,
  direction: 'load' | 'save',
): Routine<void> {
  const frame = yield* vm.tdp.backing.find(cpu, v.own.guest.top.act.at);
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  if (frame >= 0) {
    const [from, to] = direction === 'load' ? [frame, v.own.block] : [v.own.block, frame];
    copyWords(cpu, from, to, loaded);
  }
  yield* retire(cpu, v, 0);
}

function* decodeOnly(cpu: Context, v: Vcpu): Routine<void> {
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  yield* retire(cpu, v, 0);
}

/** One linear page of an ASID of L1's: its translations are dropped at the next transition. */
function* invlpga(cpu: Context, v: Vcpu): Routine<void> {
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  yield v.virt.flushAll(cpu, v, 'nested.invlpga.flush');
  yield* retire(cpu, v, 0);
}

export const svmSide: NestedSide = {
  prepareBlock(boot: BootMemory, { vcpus, virtualGif }: NestedVm, v: Vcpu): void {
    const { vmcs02 } = vcpus[v.index]!;
    if (virtualGif) {
      const at = vmcbAt(v.own.block, Vmcb.interruptControl);
      boot.write(at, boot.read(at) + V_GIF + V_GIF_ENABLE);
      boot.write(vmcbAt(v.own.block, Vmcb.virtualExtensions), VIRTUAL_VMLOAD);
    }
    const asid = asidOf(boot.read(vmcbAt(v.own.block, Vmcb.asid)));
    boot.write(vmcbAt(vmcs02, Vmcb.asid), asidWord(asid, TlbControl.none));
    boot.write(vmcbAt(vmcs02, Vmcb.nestedControl), NESTED_PAGING);
  },
  rootOf,
  useRoot(cpu, { vmcs02 }, table): void {
    cpu.write(vmcbAt(vmcs02, Vmcb.nestedCr3), table * FRAME_BYTES);
  },
  reflectInterrupt: (cpu, v, vm) => vmexit(cpu, v, vm, { code: SvmExit.interrupt }),
  *reflectInstruction(cpu, v, vm): Routine<void> {
    const { vmcs02 } = nestedOf(vm, v);
    yield* vmexit(cpu, v, vm, {
      code: cpu.read(vmcbAt(vmcs02, Vmcb.exitCode)),
      info1: cpu.read(vmcbAt(vmcs02, Vmcb.exitInfo1)),
    });
  },
  reflectFault: (cpu, v, vm, fault) =>
    vmexit(cpu, v, vm, {
      code: SvmExit.nestedPageFault,
      info1: codeFor(fault),
      info2: fault.gpa,
    }),
  instructions: (vm) => {
    const rows: readonly (readonly [number, ExitHandler])[] = [
      [SvmExit.vmrun, (cpu, v) => vmrun(cpu, v, vm)],
      [SvmExit.vmload, (cpu, v) => moveHidden(cpu, v, vm, 'load')],
      [SvmExit.vmsave, (cpu, v) => moveHidden(cpu, v, vm, 'save')],
      [SvmExit.stgi, decodeOnly],
      [SvmExit.clgi, decodeOnly],
      [SvmExit.invlpga, invlpga],
    ];
    return rows;
  },
};
