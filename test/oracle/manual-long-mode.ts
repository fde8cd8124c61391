/**
 * A second reading of the paging chapters for 4 and 5 levels, and of nested paging, slow and
 * literal. It shares no code with src and uses BigInt for every word.
 *
 * Source: Intel SDM vol. 3, 4.5 (tables 4-14 to 4-20), 4.6.1, 4.7, 4.8; AMD APM vol. 2, 15.25.
 */

export interface LongModeMachine {
  /** Undefined: the access to the table itself failed, and the caller knows why. */
  read(pa: bigint): bigint | undefined;
  readonly root: bigint;
  readonly levels: number;
  readonly bits: number;
  readonly maxPhyAddr: number;
  readonly nxe: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly onePageOfGiB: boolean;
}

export interface LongModeAccess {
  readonly kind: 'read' | 'write' | 'fetch';
  readonly user: boolean;
}

export type LongModeAnswer =
  | { kind: 'ok'; pa: bigint; level: number; reads: number; writes: Map<bigint, bigint> }
  | { kind: 'page-fault'; errorCode: number; reads: number }
  | { kind: 'stopped'; reads: number };

const bit = (word: bigint, n: number): boolean => ((word >> BigInt(n)) & 1n) === 1n;
const field = (word: bigint, high: number, low: number): bigint =>
  (word >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);

function reservedBitSet(m: LongModeMachine, entry: bigint, level: number): boolean {
  if (m.maxPhyAddr < 52 && field(entry, 51, m.maxPhyAddr) !== 0n) return true;
  if (!m.nxe && bit(entry, 63)) return true;
  if (level === 1 || !bit(entry, 7)) return false;
  if (level > 3 || (level === 3 && !m.onePageOfGiB)) return true; // PS is reserved
  const lowest = 12 + m.bits * (level - 1);
  return lowest > 13 && field(entry, lowest - 1, 13) !== 0n;
}

/** 4.6.1, sentence by sentence. */
function permitted(
  m: LongModeMachine,
  access: LongModeAccess,
  userMode: boolean,
  writable: boolean,
  noExecute: boolean,
): boolean {
  if (access.user) {
    if (!userMode) return false; // supervisor-mode addresses are out of reach
    if (access.kind === 'write') return writable;
    return access.kind === 'read' || !noExecute;
  }
  if (access.kind === 'fetch') {
    if (userMode && m.smep) return false;
    return !noExecute;
  }
  if (userMode && m.smap) return false; // EFLAGS.AC = 0
  if (access.kind === 'read') return true;
  return m.wp ? writable : true;
}

export function walkLongMode(
  m: LongModeMachine,
  linear: bigint,
  access: LongModeAccess,
): LongModeAnswer {
  let table = m.root;
  let reads = 0;
  let userMode = true;
  let writable = true;
  let noExecute = false;
  const used: { pa: bigint; entry: bigint }[] = [];
  const fault = (present: boolean, reserved: boolean): LongModeAnswer => {
    let errorCode = present ? 1 : 0;
    if (access.kind === 'write') errorCode += 2;
    if (access.user) errorCode += 4;
    if (reserved) errorCode += 8;
    if (access.kind === 'fetch' && (m.smep || m.nxe)) errorCode += 16;
    return { kind: 'page-fault', errorCode, reads };
  };
  for (let level = m.levels; ; level--) {
    const low = 12 + m.bits * (level - 1);
    const pa = table + field(linear, low + m.bits - 1, low) * 8n;
    const entry = m.read(pa);
    if (entry === undefined) return { kind: 'stopped', reads };
    reads++;
    if (!bit(entry, 0)) return fault(false, false);
    if (reservedBitSet(m, entry, level)) return fault(true, true);
    writable &&= bit(entry, 1);
    userMode &&= bit(entry, 2);
    noExecute ||= m.nxe && bit(entry, 63);
    used.push({ pa, entry });
    if (level > 1 && !bit(entry, 7)) {
      table = field(entry, 51, 12) << 12n;
      continue;
    }
    if (!permitted(m, access, userMode, writable, noExecute)) return fault(true, false);
    const writes = new Map<bigint, bigint>();
    used.forEach((each, i) => {
      const dirty = i === used.length - 1 && access.kind === 'write' ? 1n << 6n : 0n;
      const after = each.entry | (1n << 5n) | dirty;
      if (after !== each.entry) writes.set(each.pa, after);
    });
    const base = field(entry, 51, low) << BigInt(low);
    return { kind: 'ok', pa: base + field(linear, low - 1, 0), level, reads, writes };
  }
}
