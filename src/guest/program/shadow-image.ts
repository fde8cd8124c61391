/**
 * Memory of the guest in the recordings of data/traces/kvm before it runs: tables that map it one
 * to one, descriptor tables, and the bytes of the few instructions that a host emulates.
 *
 * Source: data/traces/kvm/README.md (layout); the recordings themselves (bytes at their addresses,
 * accesses to descriptor tables).
 */
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { DescriptorTables, Frames, ImageWord } from '../common/image.ts';

const ENTRIES = 512;
/** Present, writable, user; and the same for a huge page. */
const FLAGS = 0x7;
const HUGE_FLAGS = 0x87;

/** 64 MiB from 0 on, and 32 MiB at 0x1000_0000. */
export const LOW: Frames = { first: 0, end: 0x4000 };
export const SLOT: Frames = { first: 0x10000, end: 0x12000 };

/** Guest frames of the tables that the host builds. */
const ROOT = 0x10;
const UPPER = 0x11;
const LOW_DIRECTORY = 0x12;
const LOW_TABLES = 0x13;
const SLOT_DIRECTORY = 0x33;
const SLOT_TABLES = 0x34;
const HUGE_DIRECTORY = 0x44;

export const IMAGE_ROOT = ROOT;
/** Linear addresses at which the second slot is mapped by small and by huge pages. */
export const SMALL_MAP = 0x4000_0000;
export const HUGE_MAP = 0x8000_0000;
/** Guest-built tables come from here on. */
export const BUMP = 0x2000;

/** Addresses of code, of words that commands use, and of stacks. */
export const Place = {
  command: 0x1000,
  sum: 0x1048,
  result: 0x1088,
  roots: 0x5000,
  samples: 0x20_0000,
  code: 0x10_0000,
  out: 0x10_0467,
  setEntry: 0x10_0334,
  handler: 0x10_0230,
  invlpg: 0x10_0260,
  loadCr3: 0x10_0250,
  readCr3: 0x10_0270,
  stack: 0x1d_fff8,
} as const;

const EXCEPTION_STACK = 0x1f_0000;
const IDT = 0x9000;
const GDT = 0x8000;
const TSS = 0xb000;
const CODE_SELECTOR = 0x10;

export const DESCRIPTORS: DescriptorTables = {
  idt: IDT,
  gdt: GDT,
  tss: TSS,
  codeSelector: CODE_SELECTOR,
  userCode: 0x30,
  userStack: 0x28,
};

/** Instructions that a host emulates, by address, as the recordings have their bytes. */
const CODE: Readonly<Record<number, readonly number[]>> = {
  [Place.handler]: [0x48, 0x83, 0x04, 0x24, 0x02, 0xff, 0xe2], // add qword [rsp], 2; jmp rdx
  [Place.loadCr3]: [0x0f, 0x22, 0xdf, 0x48, 0xcf], // mov cr3, rdi; iretq
  [Place.invlpg]: [0x0f, 0x01, 0x3f, 0x48, 0xcf], // invlpg [rdi]; iretq
  [Place.readCr3]: [0x0f, 0x20, 0xdf, 0x48, 0xcf], // mov rdi, cr3; iretq
  [Place.setEntry]: [0x4c, 0x89, 0x1f], // mov [rdi], r11
  [Place.out]: [0xee], // out dx, al
};

/** All words that are not zero, ascending. */
export function imageWords(): ImageWord[] {
  const words = new Map<number, { lo: number; hi: number }>();
  const entry = (table: number, index: number, frame: number, flags: number): void => {
    words.set(table * FRAME_BYTES + index * 8, { lo: (frame << 12) | flags, hi: 0 });
  };
  entry(ROOT, 0, UPPER, FLAGS);
  entry(UPPER, 0, LOW_DIRECTORY, FLAGS);
  entry(UPPER, Math.floor(SMALL_MAP / 2 ** 30), SLOT_DIRECTORY, FLAGS);
  entry(UPPER, Math.floor(HUGE_MAP / 2 ** 30), HUGE_DIRECTORY, FLAGS);
  mapSmall(entry, LOW, LOW_DIRECTORY, LOW_TABLES);
  mapSmall(entry, SLOT, SLOT_DIRECTORY, SLOT_TABLES);
  for (let frame = SLOT.first; frame < SLOT.end; frame += ENTRIES) {
    entry(HUGE_DIRECTORY, (frame - SLOT.first) / ENTRIES, frame, HUGE_FLAGS);
  }
  for (const [at, bytes] of Object.entries(CODE)) {
    for (const [i, byte] of bytes.entries()) putByte(words, Number(at) + i, byte);
  }
  const gate = 16 * 6; // of #UD: present, for programs too, an interrupt gate
  words.set(IDT + gate, {
    lo: (Place.handler & 0xffff) | (CODE_SELECTOR << 16),
    hi: 0xee00 | ((Place.handler >>> 16) << 16),
  });
  words.set(TSS, { lo: 0, hi: EXCEPTION_STACK });
  return [...words].sort(([a], [b]) => a - b).map(([at, { lo, hi }]) => ({ at, lo, hi }));
}

function mapSmall(
  entry: (table: number, index: number, frame: number, flags: number) => void,
  { first, end }: Frames,
  directory: number,
  tables: number,
): void {
  for (let frame = first; frame < end; frame++) {
    const table = tables + Math.floor((frame - first) / ENTRIES);
    if ((frame - first) % ENTRIES === 0) entry(directory, table - tables, table, FLAGS);
    entry(table, (frame - first) % ENTRIES, frame, FLAGS);
  }
}

function putByte(words: Map<number, { lo: number; hi: number }>, at: number, byte: number): void {
  const word = at - (at % 8);
  const halves = words.get(word) ?? { lo: 0, hi: 0 };
  const shifted = byte << (8 * (at % 4));
  if (at % 8 < 4) halves.lo |= shifted;
  else halves.hi |= shifted;
  words.set(word, halves);
}
