/**
 * The VMCB as words in memory: one frame, control area first, save area from 0x400 on. VMRUN loads
 * from it and #VMEXIT writes to it; software reads and writes it as memory.
 *
 * Source: AMD APM vol. 2, appendix B (offsets), 15.5 to 15.16 (control area), 15.15.2 (clean bits),
 * 15.29 (AVIC); which fields KVM moves: arch/x86/kvm/svm/nested.c (facts).
 *
 * Leaves out: I/O and MSR permission maps, LBR and PMC virtualisation, everything of SEV; event
 * injection and the interrupt window are declared and not acted upon (virtual interrupts are
 * posted); hardware of this model loads every field whatever the clean bits say, as it may.
 */
import { FRAME_BYTES } from './memory.ts';

const SAVE = 0x400;

/** Byte offsets of 64-bit words. Narrower fields share a word as in the manual. */
export const Vmcb = {
  interceptRegisters: 0x00, // CR reads and writes, DR reads and writes
  interceptExceptions: 0x08, // exceptions; interrupts and instructions, first vector
  interceptInstructions: 0x10, // second and third vector
  tscOffset: 0x50,
  /** Low half: ASID. High half, its low byte: TLB_CONTROL. */
  asid: 0x58,
  /** Low half: V_TPR, V_IRQ, V_GIF and what enables them, AVIC. */
  interruptControl: 0x60,
  interruptShadow: 0x68,
  exitCode: 0x70,
  exitInfo1: 0x78,
  exitInfo2: 0x80,
  exitIntInfo: 0x88,
  nestedControl: 0x90,
  eventInjection: 0xa8,
  nestedCr3: 0xb0,
  /** LBR virtualisation, virtual VMLOAD and VMSAVE. */
  virtualExtensions: 0xb8,
  cleanBits: 0xc0,
  nextRip: 0xc8,
  avicBackingPage: 0xe0,
  avicLogicalTable: 0xf0,
  avicPhysicalTable: 0xf8,
  cpl: SAVE + 0xc8,
  efer: SAVE + 0xd0,
  cr4: SAVE + 0x148,
  cr3: SAVE + 0x150,
  cr0: SAVE + 0x158,
  dr7: SAVE + 0x160,
  dr6: SAVE + 0x168,
  rflags: SAVE + 0x170,
  rip: SAVE + 0x178,
  rsp: SAVE + 0x1d8,
  rax: SAVE + 0x1f8,
  cr2: SAVE + 0x240,
  pat: SAVE + 0x268,
} as const;

/** A segment is two words: selector, attributes and limit; base. */
function segments(...offsets: readonly number[]): number[] {
  return offsets.flatMap((offset) => [SAVE + offset, SAVE + offset + 8]);
}

/** ES, CS, SS, DS, GDTR, IDTR. */
const SEGMENTS = segments(0x00, 0x10, 0x20, 0x30, 0x60, 0x80);

export const VmcbGroups = {
  /** What VMRUN takes from the control area, and L0 snapshots of VMCB12. */
  control: [
    Vmcb.interceptRegisters,
    Vmcb.interceptExceptions,
    Vmcb.interceptInstructions,
    Vmcb.tscOffset,
    Vmcb.asid,
    Vmcb.interruptControl,
    Vmcb.interruptShadow,
    Vmcb.nestedControl,
    Vmcb.eventInjection,
    Vmcb.nestedCr3,
    Vmcb.virtualExtensions,
    Vmcb.cleanBits,
    Vmcb.nextRip,
  ],
  /** What VMRUN loads and #VMEXIT saves of the guest's state. */
  save: [
    ...SEGMENTS,
    Vmcb.cpl,
    Vmcb.efer,
    Vmcb.cr4,
    Vmcb.cr3,
    Vmcb.cr0,
    Vmcb.dr7,
    Vmcb.dr6,
    Vmcb.rflags,
    Vmcb.rip,
    Vmcb.rsp,
    Vmcb.rax,
    Vmcb.cr2,
    Vmcb.pat,
  ],
  /** FS, GS, LDTR, TR; KernelGsBase, STAR, LSTAR, CSTAR, SFMASK, SYSENTER_*: VMLOAD and VMSAVE. */
  loaded: [
    ...segments(0x40, 0x50, 0x70, 0x90),
    ...[0x200, 0x208, 0x210, 0x218, 0x220, 0x228, 0x230, 0x238].map((offset) => SAVE + offset),
  ],
  exit: [Vmcb.exitCode, Vmcb.exitInfo1, Vmcb.exitInfo2, Vmcb.exitIntInfo, Vmcb.nextRip],
} as const;

/** TLB_CONTROL: what VMRUN drops before it enters. */
export const TlbControl = { none: 0, all: 1, asid: 3, asidNonGlobal: 7 } as const;

/** The word at `Vmcb.asid`. */
export function asidWord(asid: number, control: number): number {
  return control * 2 ** 32 + asid;
}

export function asidOf(word: number): number {
  return word % 2 ** 32;
}

/** Interrupt control: the virtual flag itself; V_GIF is in force; AVIC is. */
export const V_GIF = 1 << 9;
export const V_GIF_ENABLE = 1 << 25;
export const AVIC_ENABLE = 2 ** 31;
/** Virtual extensions: VMLOAD and VMSAVE of the guest do not exit. */
export const VIRTUAL_VMLOAD = 1 << 1;
export const NESTED_PAGING = 1;
export const ALL_CLEAN = 2 ** 32 - 1;

/** Address of a field of the VMCB in frame `pfn`. */
export function vmcbAt(pfn: number, offset: number): number {
  return pfn * FRAME_BYTES + offset;
}
