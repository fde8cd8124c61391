/**
 * A second reading of RISC-V's guest-physical address translation, slow and literal, to hold the
 * walker against. It shares no code with src and uses BigInt for every word.
 *
 * Source: RISC-V privileged specification: the algorithm of "Virtual Address Translation Process"
 * with the changes of "Guest Physical Address Translation"; Sv39 for the reserved bits of an entry.
 */

export interface RiscvMachine {
  read(pa: bigint): bigint;
  readonly root: bigint;
  readonly levels: number;
  /** Bits of a VPN field; the first one has two more. */
  readonly bits: number;
  /** Svadu; else Svade. */
  readonly hardwareAD: boolean;
}

export type RiscvKind = 'read' | 'write' | 'fetch';

export type RiscvAnswer =
  | { kind: 'ok'; pa: bigint; level: number; reads: number; writes: Map<bigint, bigint> }
  | { kind: 'fault'; cause: bigint; reads: number };

const CAUSES: Readonly<Record<RiscvKind, bigint>> = { fetch: 20n, read: 21n, write: 23n };

export function walkRiscv(m: RiscvMachine, gpa: bigint, kind: RiscvKind): RiscvAnswer {
  const width = BigInt(12 + m.bits * m.levels + 2);
  let reads = 0;
  const fault = (): RiscvAnswer => ({ kind: 'fault', cause: CAUSES[kind], reads });
  if (gpa >> width !== 0n) return fault();
  let a = m.root;
  for (let i = m.levels - 1; i >= 0; i--) {
    const low = BigInt(12 + m.bits * i);
    const wide = i === m.levels - 1 ? BigInt(m.bits + 2) : BigInt(m.bits);
    const at = a + ((gpa >> low) & ((1n << wide) - 1n)) * 8n;
    const pte = m.read(at);
    reads++;
    const [v, r, w, x, u, , accessed, dirty] = Array.from({ length: 8 }, (_, n) => {
      return ((pte >> BigInt(n)) & 1n) === 1n;
    });
    if (!v || (!r && w)) return fault();
    if (pte >> 54n !== 0n) return fault(); // reserved, PBMT and N without their extensions
    const ppn = (pte >> 10n) & ((1n << 44n) - 1n);
    if (!r && !x) {
      if (accessed || dirty || u) return fault(); // reserved in a pointer
      a = ppn << 12n;
      continue;
    }
    if (!u) return fault();
    const allowed = { read: r, write: w, fetch: x }[kind];
    if (!allowed) return fault();
    const below = BigInt(m.bits * i);
    if ((ppn & ((1n << below) - 1n)) !== 0n) return fault(); // misaligned superpage
    let after = pte;
    if (!accessed || (kind === 'write' && !dirty)) {
      if (!m.hardwareAD) return fault();
      after |= kind === 'write' ? 0b11000000n : 0b01000000n;
    }
    const writes = new Map<bigint, bigint>();
    if (after !== pte) writes.set(at, after);
    const pa = (ppn << 12n) + (gpa & ((1n << low) - 1n));
    return { kind: 'ok', pa, level: i, reads, writes };
  }
  return fault();
}
