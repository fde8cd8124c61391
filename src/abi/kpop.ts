/**
 * KPOP's hypercalls between a guest hypervisor (L1) and the host (L0): MAP, UNMAP, PROTECT, FLUSH,
 * AGE, RUN with fused operations; docs/abi.md says what each does, guarantees and refuses. VM,
 * address space and vCPUs are made at boot.
 *
 * Source: the proposal of primer/x86.md 6.2. Register form: operation, then the address of an
 * argument page, the index of a vCPU, or a label. Lists are elements of two words.
 * Differs from the proposal: words are below 2^53, so fields are packed otherwise.
 */
import { defect } from '../base/assert.ts';

export const KpopCall = {
  map: 0x100,
  unmap: 0x101,
  run: 0x102,
  protect: 0x103,
  flush: 0x104,
  age: 0x105,
} as const;

export const Status = {
  ok: 0,
  /** Another intent is there, or a table where a leaf was asked for. */
  busy: 1,
  /**
   * Bad handle, dying object, or an epoch older than the fence: nothing is mapped (MAP), and no
   * right was added (PROTECT; those it takes away are gone all the same).
   */
  stale: 2,
  /** Reserved bits, alignment, order or range. */
  invalid: 3,
  /** The L1 page is no memory of L1, or the argument page is unreadable. */
  fault: 4,
  /**
   * No page of the host that is as large lies behind L1's pages now: of a MAP that insists on it
   * (EXACT_ORDER), or that would merge smaller mappings to no end. Nothing is changed.
   */
  order: 5,
  /**
   * UNMAP, PROTECT: the budget of one call is used up. What the detail counts (`unpackProgress`) is
   * done and visible; L1 calls again with that in the header's count. L0 keeps nothing between the
   * calls: one that is lost or made twice does no harm.
   */
  continue: 6,
} as const;

/** Why a RUN returned, when it is no exit of L2: an interrupt is pending for L1. */
export const RUN_INTERRUPTED = 1;
/** Why a RUN returned without running: a fused operation failed. */
export const RUN_REFUSED = 0xffff;

/** Elements of a list in one argument page. */
export const LIST_LIMIT = 254;
export const LIST_HEADER_BYTES = 32;
export const LIST_ELEMENT_BYTES = 16;

/** Word offsets in bytes of the argument page's header. */
export const ListHeader = {
  /** Elements, and what earlier calls have done of them (`packCount`). */
  count: 0,
  epoch: 8,
  flags: 16,
  /** A flush label that the call joins before it returns; of an UNMAP that ends a series. */
  join: 24,
} as const;

/**
 * UNMAP flag: more calls of this series follow. The call does not wait for its flush but answers
 * with the label to join; its pages may still be used until a call that joined it has returned: an
 * UNMAP, or FLUSH, whose one argument (register 1) is the label. So r ranges cost ceil(r / 254)
 * calls and one flush, and L0 keeps nothing between the calls.
 */
export const FLAG_MORE = 1;

/**
 * AGE: the list is one element, first page and page count. The call says for each page whether L2
 * has used it, as bits in the place of the elements: word n holds the pages from n * AGE_PER_WORD
 * on, the lowest bit the first. No flush is promised: a page in use may look unused for a while.
 */
export const AGE_LIMIT = 4096;
export const AGE_PER_WORD = 32;
/** AGE flag: the pages look unused afterwards; without it nothing is changed. */
export const AGE_CLEAR = 2;

const COUNT_SPAN = 256;

/** How far a list is done: whole elements, and pages of the one that follows. */
export interface Progress {
  readonly elements: number;
  readonly pages: number;
  /** Whether some of what is done was stale: the last call of the series says so. */
  readonly isStale: boolean;
}

export const NO_PROGRESS: Progress = { elements: 0, pages: 0, isStale: false };

export function packProgress({ elements, pages, isStale }: Progress): number {
  return (pages * 2 + (isStale ? 1 : 0)) * COUNT_SPAN + elements;
}

export function unpackProgress(word: number): Progress {
  const rest = Math.floor(word / COUNT_SPAN);
  return { elements: word % COUNT_SPAN, pages: Math.floor(rest / 2), isStale: rest % 2 === 1 };
}

/** The header's count; of a list that nothing is done of the number of elements alone. */
export function packCount(count: number, progress: Progress = NO_PROGRESS): number {
  return packProgress(progress) * COUNT_SPAN + count;
}

export function unpackCount(word: number): { readonly count: number; readonly done: Progress } {
  return { count: word % COUNT_SPAN, done: unpackProgress(Math.floor(word / COUNT_SPAN)) };
}

const STATUS_SPAN = 256;

/**
 * What a hypercall answers: a status and a detail, which is a label to join, or how many elements
 * of a MAP were done before the one that was refused.
 */
export function packAnswer(status: number, detail: number): number {
  return detail * STATUS_SPAN + status;
}

export function answerStatus(answer: number): number {
  return answer % STATUS_SPAN;
}

export function answerDetail(answer: number): number {
  return Math.floor(answer / STATUS_SPAN);
}

/**
 * MAP element: word 0 = L2 page, order and flags, word 1 = L1 page and rights. UNMAP: first page,
 * page count. PROTECT: first page and rights, page count.
 *
 * A MAP of order n is one intent for 2^n pages, consecutive in L2 and in L1 and aligned in both;
 * orders are those of the processor's pages (0, 9, 18). It is L1's will: which pages hardware has
 * for it is L0's choice. UNMAP and PROTECT of a part of it leave the rest as it is.
 */
const GFN_SPAN = 2 ** 40;
const ORDER_SPAN = 64;
const MAP_FLAGS = 4;

/** MAP flag: refused (Status.order) unless the host has a page as large behind L1's pages. */
export const MAP_EXACT_ORDER = 1;
/**
 * MAP flag: smaller mappings of the same pages with the same rights become one intent. Without it
 * they are in the way (Status.busy).
 */
export const MAP_PROMOTE = 2;

/** What word 0 of a MAP element says; without flags and order the page alone. */
export function packPage(gfn: number, order: number, flags = 0): number {
  return gfn + GFN_SPAN * (order + ORDER_SPAN * flags);
}

export interface PackedPage {
  readonly gfn: number;
  readonly order: number;
  /** MAP_* bits. */
  readonly flags: number;
}

/** `undefined` if reserved bits are set. */
export function unpackPage(word: number): PackedPage | undefined {
  const gfn = word % GFN_SPAN;
  const rest = Math.floor(word / GFN_SPAN);
  const flags = Math.floor(rest / ORDER_SPAN);
  return flags < MAP_FLAGS ? { gfn, order: rest % ORDER_SPAN, flags } : undefined;
}

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXECUTE = 4;
export const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXECUTE;
const PROT_SPAN = 8;

export function packTarget(gfn: number, prot: number): number {
  if (prot >= PROT_SPAN) defect('packTarget', `rights ${prot}`);
  return gfn * PROT_SPAN + prot;
}

export function targetGfn(word: number): number {
  return Math.floor(word / PROT_SPAN);
}

export function targetProt(word: number): number {
  return word % PROT_SPAN;
}

/**
 * Reasons in an exit record, of L0's own numbering: what the processor calls them is L0's business.
 */
export const KpopExit = {
  cpuid: 10,
  halt: 12,
  hypercall: 18,
  msrRead: 31,
  msrWrite: 32,
  fault: 48,
} as const;

/**
 * The vCPU's state page, shared by L1 and L0: byte offsets. Exit record first, fused list
 * after.
 */
export const StatePage = {
  exitReason: 0,
  exitQualification: 8,
  exitGuestPhysical: 16,
  exitGuestLinear: 24,
  exitInstructionLength: 32,
  exitRip: 40,
  /** What L1 changed, as bits: L0 loads what is marked, no more. */
  dirty: 48,
  /** Virtual interrupts for L2 (`packVectors`), if marked: RUN puts them into its virtual APIC. */
  inject: 56,
  /** Fused operations that RUN applies before it enters: count, then records of 4 words. */
  fusedCount: 64,
  fused: 72,
  /** L2's general registers, saved by L0 at every return to L1 and loaded at every RUN. */
  registers: 2304,
  registerCount: 16,
  /** A bit for each vector that L1's other CPUs have posted for L2; L0 does not look at it. */
  vectors: 2496,
} as const;

/** Bits of `StatePage.dirty`. */
export const DIRTY_RIP = 1;
export const DIRTY_INJECT = 2;

const VECTORS = 256;
/** Vectors that one word of the state page holds. */
export const INJECT_LIMIT = 6;

/** Up to INJECT_LIMIT vectors as one word. */
export function packVectors(vectors: readonly number[]): number {
  return vectors.reduceRight((word, vector) => word * VECTORS + vector, 0);
}

export function unpackVectors(word: number): number[] {
  const vectors: number[] = [];
  for (let left = word; left > 0; left = Math.floor(left / VECTORS)) vectors.push(left % VECTORS);
  return vectors;
}

/** A fused record: operation, word 0, word 1, epoch; its status replaces the operation. */
export const FUSED_RECORD_BYTES = 32;
export const FUSED_LIMIT = 64;
