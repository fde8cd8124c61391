/**
 * A second reading of the EPT chapters, slow and literal, to hold the walker against. It shares no
 * code with src and uses BigInt for every word.
 *
 * Source: Intel SDM vol. 3, 28.3.2 (tables 28-1 to 28-7), 28.3.3, 28.3.5, table 27-7.
 */

/** One geometry for all manuals here: `bits` of index per level. */
export interface EptMachine {
  read(pa: bigint): bigint;
  readonly root: bigint;
  readonly levels: number;
  readonly bits: number;
  readonly maxPhyAddr: number;
  readonly accessedDirty: boolean;
  readonly executeOnly: boolean;
  readonly onePageOfGiB: boolean;
}

export type EptKind = 'read' | 'write' | 'fetch' | 'guest-table';

export type EptAnswer =
  | {
      kind: 'ok';
      pa: bigint;
      level: number;
      rwx: bigint;
      reads: number;
      writes: Map<bigint, bigint>;
    }
  | { kind: 'violation'; qualification: bigint; reads: number }
  | { kind: 'misconfiguration'; reads: number };

const bit = (word: bigint, n: number): boolean => ((word >> BigInt(n)) & 1n) === 1n;
const field = (word: bigint, high: number, low: number): bigint =>
  (word >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);

/** 28.3.3.1, for an entry that is present. `level` counts from 1 (EPT PTE). */
function misconfigured(m: EptMachine, entry: bigint, level: number): boolean {
  const rwx = field(entry, 2, 0);
  if (rwx === 0b010n || rwx === 0b110n) return true;
  if (rwx === 0b100n && !m.executeOnly) return true;
  if (m.maxPhyAddr < 52 && field(entry, 51, m.maxPhyAddr) !== 0n) return true;
  const maps = level === 1 || bit(entry, 7);
  if (!maps) return field(entry, 6, 3) !== 0n; // 6:3 are reserved where a table is referenced
  if (level > 3 || (level === 3 && !m.onePageOfGiB)) return true; // bit 7 reserved
  const type = field(entry, 5, 3);
  if (type === 2n || type === 3n || type === 7n) return true;
  const lowest = 12 + m.bits * (level - 1);
  return level > 1 && field(entry, lowest - 1, 12) !== 0n;
}

export function walkEpt(m: EptMachine, gpa: bigint, kind: EptKind): EptAnswer {
  let table = m.root;
  let rwx = 0b111n;
  let reads = 0;
  const used: { pa: bigint; entry: bigint }[] = [];
  // What the access needs, and what bits 2:0 of the qualification say.
  const writesTable = kind === 'guest-table' && m.accessedDirty;
  const needs = kind === 'fetch' ? 0b100n : kind === 'write' || writesTable ? 0b010n : 0b001n;
  const says = writesTable ? 0b011n : needs;
  const where = kind === 'guest-table' ? 0b01n : 0b11n; // bits 8:7
  const violation = (allowed: bigint): EptAnswer => ({
    kind: 'violation',
    qualification: says | (allowed << 3n) | (where << 7n),
    reads,
  });
  if (gpa >> BigInt(12 + m.bits * m.levels) !== 0n) return violation(0n);
  for (let level = m.levels; ; level--) {
    const low = 12 + m.bits * (level - 1);
    const pa = table + field(gpa, low + m.bits - 1, low) * 8n;
    const entry = m.read(pa);
    reads++;
    if (field(entry, 2, 0) === 0n) return violation(0n);
    if (misconfigured(m, entry, level)) return { kind: 'misconfiguration', reads };
    rwx &= field(entry, 2, 0);
    used.push({ pa, entry });
    const frame = field(entry, 51, 12) << 12n;
    if (level > 1 && !bit(entry, 7)) {
      table = frame;
      continue;
    }
    if ((rwx & needs) === 0n) return violation(rwx);
    const writes = new Map<bigint, bigint>();
    if (m.accessedDirty) {
      for (const each of used) {
        const isLeaf = each === used[used.length - 1];
        const dirty = isLeaf && needs === 0b010n ? 1n << 9n : 0n;
        const after = each.entry | (1n << 8n) | dirty;
        if (after !== each.entry) writes.set(each.pa, after);
      }
    }
    return { kind: 'ok', pa: frame + field(gpa, low - 1, 0), level, rwx, reads, writes };
  }
}
