/**
 * A second reading of the chapters on Arm's stage 2, slow and literal, to hold the walker against.
 * It shares no code with src, uses BigInt for every word, and counts levels as the manual does.
 *
 * Source: Arm ARM, D8.2 (initial lookup, concatenation), D8.3.1 (VMSAv8-64 descriptors, 4 KiB
 * granule, 48-bit addresses), D8.4.2 (S2AP, XN[1:0]), D8.5 (Access flag, DBM), ESR_ELx.FSC.
 */

export interface ArmMachine {
  read(pa: bigint): bigint;
  readonly root: bigint;
  /** Manual's level of the initial lookup. */
  readonly startLevel: number;
  /** Bits of index per level below the first, and of the first. */
  readonly bits: number;
  readonly firstBits: number;
  /** Output address size. */
  readonly oas: number;
  readonly ha: boolean;
  readonly hd: boolean;
  readonly xnx: boolean;
}

export type ArmKind = 'read' | 'write' | 'fetch';

export type ArmAnswer =
  | { kind: 'ok'; pa: bigint; level: number; reads: number; writes: Map<bigint, bigint> }
  | { kind: 'fault'; status: bigint; reads: number };

const bit = (word: bigint, n: number): boolean => ((word >> BigInt(n)) & 1n) === 1n;
const field = (word: bigint, high: number, low: number): bigint =>
  (word >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);

const FINAL = 3;

/** XN[1:0] with FEAT_XNX, bits 54 and 53: 00 both, 01 EL0 only, 10 nobody, 11 EL1 only. */
function mayFetch(m: ArmMachine, descriptor: bigint, el0: boolean): boolean {
  if (!m.xnx) return !bit(descriptor, 54);
  switch (field(descriptor, 54, 53)) {
    case 0b00n:
      return true;
    case 0b01n:
      return el0;
    case 0b10n:
      return false;
    default:
      return !el0;
  }
}

export function walkArm(m: ArmMachine, ipa: bigint, kind: ArmKind, el0: boolean): ArmAnswer {
  let reads = 0;
  const fault = (status: number, level: number): ArmAnswer => {
    return { kind: 'fault', status: BigInt(status | level), reads };
  };
  const [size, translation, flag, permission] = [0b000000, 0b000100, 0b001000, 0b001100];
  const lowOf = (level: number): number => 12 + m.bits * (FINAL - level);
  const inputBits = lowOf(m.startLevel) + m.firstBits;
  if (ipa >> BigInt(inputBits) !== 0n) return fault(translation, 0);
  let table = m.root;
  for (let level = m.startLevel; ; level++) {
    const low = lowOf(level);
    const high = level === m.startLevel ? inputBits - 1 : low + m.bits - 1;
    const at = table + field(ipa, high, low) * 8n;
    const descriptor = m.read(at);
    reads++;
    if (!bit(descriptor, 0)) return fault(translation, level);
    const type = bit(descriptor, 1);
    if (level === FINAL && !type) return fault(translation, level); // reserved
    if (level === 0 && !type) return fault(translation, level); // no block of 512 GiB
    const output = field(descriptor, 47, 12) << 12n;
    if (output >> BigInt(m.oas) !== 0n) return fault(size, level);
    if (level < FINAL && type) {
      table = output;
      continue;
    }
    let after = descriptor;
    if (!bit(descriptor, 10)) {
      if (!m.ha) return fault(flag, level);
      after |= 1n << 10n;
    }
    const writableClean = m.hd && bit(descriptor, 51) && !bit(descriptor, 7);
    let allowed: boolean;
    if (kind === 'read') allowed = bit(descriptor, 6);
    else if (kind === 'write') allowed = bit(descriptor, 7) || writableClean;
    else allowed = mayFetch(m, descriptor, el0);
    if (!allowed) return fault(permission, level);
    if (kind === 'write' && writableClean) after |= 1n << 7n;
    const writes = new Map<bigint, bigint>();
    if (after !== descriptor) writes.set(at, after);
    const pa = ((output >> BigInt(low)) << BigInt(low)) + field(ipa, low - 1, 0);
    return { kind: 'ok', pa, level, reads, writes };
  }
}
