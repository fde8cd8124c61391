/**
 * The intent word: what L1 wants at one L2 page, apart from what hardware sees. One word carries
 * the lock bit, the state, the rights and a payload: L1's page (valid), the flush label that must
 * be finished before the page may be mapped again (empty), or the child table (table). Dead is
 * terminal and keeps the label of the removal: who meets it walks again from the root.
 *
 * Above the leaf tables a valid intent is a huge one: it speaks for as many pages as its place
 * serves, whose L1 pages are consecutive from the payload on.
 *
 * Source: primer/x86.md 6.1 (proposal). Pure; encodings are numbers below 2^53.
 */
export const LOCKED = 1;

export type IntentState = 'empty' | 'valid' | 'table' | 'dead';

const STATES: readonly IntentState[] = ['empty', 'valid', 'table', 'dead'];
const STATE_SHIFT = 1;
const STATE_UNIT = 1 << STATE_SHIFT;
const PROT_SHIFT = 3;
const PROT_UNIT = 1 << PROT_SHIFT;
const PAYLOAD_UNIT = 64;

export interface Intent {
  readonly state: IntentState;
  readonly locked: boolean;
  /** Rights as PROT_* bits; only of a valid intent. */
  readonly prot: number;
  /** L1's (first) page, the label (empty, dead), or the address of the child's header / 64. */
  readonly payload: number;
}

export function decodeIntent(word: number): Intent {
  return {
    locked: (word & LOCKED) !== 0,
    state: STATES[(word >>> STATE_SHIFT) & 3]!,
    prot: (word >>> PROT_SHIFT) & 7,
    payload: Math.floor(word / PAYLOAD_UNIT),
  };
}

export function emptyIntent(label: number): number {
  return label * PAYLOAD_UNIT;
}

export function validIntent(l1gfn: number, prot: number): number {
  return l1gfn * PAYLOAD_UNIT + prot * PROT_UNIT + STATE_UNIT;
}

export function tableIntent(header: number): number {
  return (header / 64) * PAYLOAD_UNIT + 2 * STATE_UNIT;
}

/** Its table page was removed; `label` is of the flush that finishes the removal. */
export function deadIntent(label: number): number {
  return label * PAYLOAD_UNIT + 3 * STATE_UNIT;
}

export function isDead(word: number): boolean {
  return ((word >>> STATE_SHIFT) & 3) === 3;
}

export function isLocked(word: number): boolean {
  return (word & LOCKED) !== 0;
}
