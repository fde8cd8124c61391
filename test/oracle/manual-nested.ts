/**
 * A second reading of two-dimensional paging: the guest's tables of manual-long-mode.ts under the
 * EPT of manual-ept.ts, or under a second set of long-mode tables (NPT).
 *
 * Source: Intel SDM vol. 3, 28.3.1, 28.3.3.2, table 27-7; AMD APM vol. 2, 15.25.5, 15.25.6.
 */
import { type EptMachine, walkEpt } from './manual-ept.ts';
import { type LongModeAccess, type LongModeMachine, walkLongMode } from './manual-long-mode.ts';

export type NestedAnswer =
  | {
      kind: 'ok';
      pa: bigint;
      reads: number;
      second: Map<bigint, bigint>;
      guest: Map<bigint, bigint>;
    }
  | { kind: 'page-fault'; errorCode: number; reads: number }
  | { kind: 'violation'; qualification: bigint; gpa: bigint; reads: number }
  | { kind: 'misconfiguration'; gpa: bigint; reads: number }
  | { kind: 'npf'; exitInfo1: bigint; gpa: bigint; reads: number };

type Translated =
  | { kind: 'ok'; pa: bigint; writable: boolean; writes: Map<bigint, bigint>; reads: number }
  | { kind: 'failed'; answer: Exclude<NestedAnswer, { kind: 'ok' | 'page-fault' }> };

export type SecondStage =
  | { readonly kind: 'ept'; readonly machine: EptMachine }
  | { readonly kind: 'npt'; readonly machine: LongModeMachine };

function throughEpt(
  m: EptMachine,
  gpa: bigint,
  kind: LongModeAccess['kind'] | 'guest-table',
): Translated {
  const found = walkEpt(m, gpa, kind);
  if (found.kind !== 'ok') return { kind: 'failed', answer: { ...found, gpa } };
  const { pa, writes, reads, rwx } = found;
  return { kind: 'ok', pa, writes, reads, writable: (rwx & 2n) !== 0n };
}

function throughNpt(
  m: LongModeMachine,
  gpa: bigint,
  kind: LongModeAccess['kind'] | 'guest-table',
): Translated {
  const nested = { kind: kind === 'guest-table' ? ('write' as const) : kind, user: true };
  const where = kind === 'guest-table' ? 1n << 33n : 1n << 32n;
  const failed = (code: number, reads: number): Translated => ({
    kind: 'failed',
    answer: { kind: 'npf', exitInfo1: BigInt(code) | where, gpa, reads },
  });
  if (gpa >> BigInt(12 + m.bits * m.levels) !== 0n) {
    return failed(4 + (nested.kind === 'write' ? 2 : 0) + (kind === 'fetch' && m.nxe ? 16 : 0), 0);
  }
  const found = walkLongMode(m, gpa, nested);
  if (found.kind === 'page-fault') return failed(found.errorCode, found.reads);
  if (found.kind !== 'ok') throw new Error('host tables are not translated');
  return { ...found, writable: true };
}

/** `guest.read` is replaced: the guest's tables are at guest-physical addresses. */
export function walkNested(
  guest: LongModeMachine,
  second: SecondStage,
  readHost: (pa: bigint) => bigint,
  linear: bigint,
  access: LongModeAccess,
): NestedAnswer {
  const flags = new Map<bigint, bigint>();
  const places = new Map<bigint, { host: bigint; writable: boolean }>();
  let reads = 0;
  let failure: Translated | undefined;
  const translate = (gpa: bigint, kind: LongModeAccess['kind'] | 'guest-table'): Translated => {
    const found =
      second.kind === 'ept'
        ? throughEpt(second.machine, gpa, kind)
        : throughNpt(second.machine, gpa, kind);
    if (found.kind === 'ok') {
      reads += found.reads;
      for (const [pa, word] of found.writes) flags.set(pa, (flags.get(pa) ?? 0n) | word);
    } else {
      reads += found.answer.reads;
    }
    return found;
  };
  const readGuest = (gpa: bigint): bigint | undefined => {
    const found = translate(gpa, 'guest-table');
    if (found.kind === 'failed') {
      failure = found;
      return undefined;
    }
    places.set(gpa, { host: found.pa, writable: found.writable });
    return readHost(found.pa);
  };
  const walked = walkLongMode({ ...guest, read: readGuest }, linear, access);
  reads += walked.reads;
  if (failure?.kind === 'failed') return { ...failure.answer, reads };
  if (walked.kind === 'page-fault') return { ...walked, reads };
  if (walked.kind !== 'ok') throw new Error('stopped without a failure');
  const own = new Map<bigint, bigint>();
  for (const [gpa, word] of walked.writes) {
    const place = places.get(gpa);
    if (place === undefined) throw new Error('a table entry that nobody read');
    if (!place.writable && second.kind === 'ept') {
      // A/D update of the guest's entry: a data write that is not the final access.
      const found = walkEpt(second.machine, gpa, 'read');
      if (found.kind !== 'ok') throw new Error('was readable');
      const qualification = 0b010n | (found.rwx << 3n) | (1n << 7n);
      return { kind: 'violation', qualification, gpa, reads };
    }
    own.set(place.host, word);
  }
  const last = translate(walked.pa, access.kind);
  if (last.kind === 'failed') return { ...last.answer, reads };
  return { kind: 'ok', pa: last.pa, reads, second: flags, guest: own };
}
