/**
 * Tracepoints of a run as the text that tracefs would give for them, so that whatever reads a trace
 * of real KVM reads one of kpop.
 *
 * Source: the `format` files of events/kvm and events/kvmmmu, Linux 6.18 (facts). Leaves out: task
 * ids and the flag letters, which say nothing here; addresses of the host's user space, for which
 * guest-physical ones stand.
 */
import { Event, SP_NEW, SP_UNSYNC, Tracepoint, type TraceSink } from '../runtime/trace.ts';
import { TRACEPOINT_NAMES } from './tracepoints.ts';

const HEADER = [
  '# tracer: nop',
  '#',
  '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION',
  '#              | |         |   |||||     |         |',
];

/** What the events' numbers mean to who emitted them. */
export interface FtraceNames {
  /** Texts of phases, by number. */
  readonly phases: readonly string[];
  /** Cycles per second. */
  readonly hertz: number;
  /** A role of a shadow page: `l1 8-byte q0 wux nxe ad`. */
  role(role: number): string;
}

const FAULT_LETTERS: readonly (readonly [bit: number, letter: string])[] = [
  [1, 'P'],
  [2, 'W'],
  [4, 'U'],
  [8, 'RSVD'],
  [16, 'F'],
];
const EXCEPTIONS: Readonly<Record<number, string>> = { 6: '#UD', 13: '#GP', 14: '#PF' };
const EXITS: Readonly<Record<number, string>> = { 2: 'KVM_EXIT_IO' };
const PAGE = 4096;
/** From here on, linear addresses are those of the upper half. */
const UPPER_HALF = 2 ** 47;

export class FtraceText implements TraceSink {
  readonly #names: FtraceNames;
  readonly #lines: string[] = [...HEADER];
  /** Fields of the next event, by CPU. */
  readonly #more = new Map<number, readonly [number, number]>();

  constructor(names: FtraceNames) {
    this.#names = names;
  }

  event(kind: number, cpu: number, cycle: number, a: number, b: number): void {
    if (kind === Tracepoint.more) {
      this.#more.set(cpu, [a, b]);
      return;
    }
    if (kind === Event.phase) {
      this.#add(cpu, cycle, 'tracing_mark_write', this.#names.phases[a] ?? `phase ${a}`);
      return;
    }
    const name = TRACEPOINT_NAMES[kind];
    if (name === undefined) return;
    this.#add(cpu, cycle, name, fieldsOf(kind, a, b, this.#more.get(cpu) ?? [0, 0], this.#names));
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  #add(cpu: number, cycle: number, name: string, fields: string): void {
    const seconds = (cycle / this.#names.hertz).toFixed(6);
    const where = `[${String(cpu).padStart(3, '0')}] .....`;
    this.#lines.push(
      `            vcpu-${cpu}       ${where} ${seconds.padStart(12)}: ${name}: ${fields}`,
    );
  }
}

function fieldsOf(
  kind: number,
  a: number,
  b: number,
  more: readonly [number, number],
  names: FtraceNames,
): string {
  switch (kind) {
    case Tracepoint.pagetableWalk:
      return `addr ${hex(canonical(a))} pferr ${b.toString(16)} ${lettersOf(b)}`;
    case Tracepoint.pagingElement:
      return `pte ${word(a, Math.floor(b / 8))} level ${b - 8 * Math.floor(b / 8)}`;
    case Tracepoint.setAccessedBit:
    case Tracepoint.setDirtyBit:
      return `gpa ${a.toString(16)}`;
    case Tracepoint.walkerError:
      return `pferr ${a.toString(16)} ${lettersOf(a)}`;
    case Tracepoint.getPage:
      return `${page(a, b, more, names)} ${(more[1] & SP_NEW) === 0 ? 'existing' : 'new'}`;
    case Tracepoint.prepareZapPage:
    case Tracepoint.syncPage:
    case Tracepoint.unsyncPage:
      return page(a, b, more, names);
    case Tracepoint.spteRequested:
      return `gfn ${gfnOf(a)} pfn ${b.toString(16)} level ${a % 8}`;
    case Tracepoint.setSpte: {
      const spte = `spte ${word(more[0], more[1])} (${rightsOf(more[0], more[1])})`;
      return `gfn ${gfnOf(a)} ${spte} level ${a % 8} at ${b.toString(16)}`;
    }
    case Tracepoint.zapAllFast:
      return `kvm-mmu-valid-gen ${b} used_pages ${a}`;
    case Tracepoint.injException:
      return `${EXCEPTIONS[a] ?? a}${b < 0 ? '' : ` (0x${b.toString(16)})`}`;
    case Tracepoint.emulateInsn:
      return instruction(a, b, more);
    case Tracepoint.pio:
      return `pio_write at 0x${a.toString(16)} size 1 count 1 val 0x${b.toString(16)} `;
    case Tracepoint.userspaceExit:
      return `reason ${EXITS[a] ?? 'unknown'} (${a})`;
    default: {
      const range = [a, b].map((gfn) => `0x${(gfn * PAGE).toString(16).padStart(16, '0')}`);
      return `mmu notifier unmap range: ${range.join(' -- ')}`;
    }
  }
}

function page(
  gfn: number,
  role: number,
  [roots, flags]: readonly [number, number],
  names: FtraceNames,
): string {
  const state = (flags & SP_UNSYNC) === 0 ? 'sync' : 'unsync';
  const what = `gen ${flags >> 2} gfn ${gfn.toString(16)} ${names.role(role)}`;
  return `sp ${what} root ${roots} ${state}`;
}

function instruction(rip: number, about: number, [low, high]: readonly [number, number]): string {
  const length = Math.floor(about / 2);
  const bytes = [low, high].flatMap((half) =>
    [0, 8, 16, 24].map((shift) => (half >>> shift) & 255),
  );
  const code = bytes.slice(0, length).map((byte) => byte.toString(16).padStart(2, '0'));
  const failed = about % 2 === 1 ? ' failed' : '';
  return `0:${rip.toString(16)}:${code.join(' ')} (prot64)${failed}`;
}

function gfnOf(packed: number): string {
  return Math.floor(packed / 8).toString(16);
}

function lettersOf(code: number): string {
  return FAULT_LETTERS.filter(([bit]) => (code & bit) !== 0)
    .map(([, letter]) => letter)
    .join('|');
}

function rightsOf(lo: number, hi: number): string {
  return (
    ((lo & 1) !== 0 ? 'r' : '-') +
    ((lo & 2) !== 0 ? 'w' : '-') +
    (hi < 0 ? '-' : 'x') +
    ((lo & 4) !== 0 ? 'u' : '-')
  );
}

/** 64 bits, given as two signed halves. */
function word(lo: number, hi: number): string {
  const upper = hi >>> 0;
  const lower = (lo >>> 0).toString(16);
  return upper === 0 ? lower : `${upper.toString(16)}${lower.padStart(8, '0')}`;
}

function canonical(address: number): bigint {
  const low = BigInt(address);
  return address >= UPPER_HALF ? low + 0xffff_0000_0000_0000n : low;
}

function hex(value: bigint): string {
  return value.toString(16);
}
