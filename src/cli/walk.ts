/**
 * `kpop walk`: walks the page tables in a dump of a real machine and says, address by address, what
 * the processor would find: the result, every entry read, and the accessed and dirty bits written.
 * Every probe starts from the dump as it is; nothing is carried over to the next.
 *
 * Leaves out: what a walk that faults writes (manuals allow several answers), and TLBs.
 */

import type { Command } from 'commander';
import { pageBits } from '../machine/format/format.ts';
import {
  ABSENT,
  ALL_RIGHTS,
  MALFORMED,
  OK,
  type Outcome,
  type Privilege,
  SUPERVISOR,
  type WalkedFormat,
} from '../machine/format/judge.ts';
import type { FormatKind } from '../machine/format/registry.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { Walker } from '../machine/walk.ts';
import { GUEST_STAGE, NestedWalker, SECOND_STAGE } from '../machine/walk-2d.ts';
import { WalkTrace } from '../machine/walk-log.ts';
import { UsageError } from './errors.ts';
import { changesOf, type ProbeResult, stepsOf, textOf } from './walk-answer.ts';
import { causeOf, holeCause, wide } from './walk-cause.ts';
import { type Dump, hex, parsePhysical, readDump } from './walk-dump.ts';
import { ACCESS_LETTERS, type Linear, type Probe, readProbes, splitAddress } from './walk-probe.ts';
import { type Stage, settle, type WalkOptions, type WalkSettings } from './walk-settings.ts';

export type { WalkOptions } from './walk-settings.ts';

const BAD_INPUT = 2;
const PAGE_SHIFT = 12;

/** Prints the walks; returns the exit status: 0, or 2 if a walk needed a word not in the dump. */
export async function runWalk(options: WalkOptions): Promise<number> {
  const document = await walkDocument(options);
  for (const note of document.notes) process.stderr.write(`kpop walk: ${note}\n`);
  const { notes: _, ...printed } = document;
  process.stdout.write(
    options.json === true ? `${JSON.stringify(printed, null, 1)}\n` : textOf(printed),
  );
  const holed = document.probes.find((probe) => probe.cause?.kind === 'hole');
  if (holed === undefined) return 0;
  const missing = `the dump has no word at ${holed.cause?.pa}`;
  process.stderr.write(`kpop walk: ${options.memory}: address ${holed.address}: ${missing}\n`);
  return BAD_INPUT;
}

export interface WalkDocument {
  readonly schema: 'kpop.walk/1';
  readonly format: string;
  readonly levels: number;
  readonly guestFormat?: string;
  readonly guestLevels?: number;
  readonly probes: readonly ProbeResult[];
}

/** Everything that is printed; `notes` are for stderr. */
export async function walkDocument(
  options: WalkOptions,
): Promise<WalkDocument & { readonly notes: readonly string[] }> {
  const base = options.base === undefined ? undefined : parsePhysical(options.base, '--base');
  const dump = await readDump(options.memory, base);
  const settings = settle(options, dump.fields, dump.file);
  const { stage, guest } = settings;
  const probes = await readProbes(options, dump);
  const session = new Session(dump, settings);
  return {
    schema: 'kpop.walk/1',
    format: stage.kind.id,
    levels: stage.levels,
    ...(guest === undefined ? {} : { guestFormat: guest.kind.id, guestLevels: guest.levels }),
    probes: probes.map((probe) => session.answer(probe)),
    notes: settings.notes,
  };
}

function formatOf({ kind, geometry }: Stage, settings: WalkSettings): WalkedFormat {
  return kind.create(geometry, settings.params);
}

/** One dump with its walkers. */
class Session {
  readonly #dump: Dump;
  readonly #settings: WalkSettings;
  readonly #single: Walker;
  readonly #nested: NestedWalker | undefined;
  readonly #trace = new WalkTrace();

  constructor(dump: Dump, settings: WalkSettings) {
    this.#dump = dump;
    this.#settings = settings;
    const format = formatOf(settings.stage, settings);
    this.#single = new Walker(dump.memory, format);
    this.#single.trace = this.#trace;
    this.#single.changes.applied = false;
    if (settings.guest === undefined) return;
    this.#nested = new NestedWalker(dump.memory, formatOf(settings.guest, settings), format);
    this.#nested.trace = this.#trace;
    this.#nested.changes.applied = false;
    this.#nested.second.changes.applied = false;
  }

  answer(probe: Probe): ProbeResult {
    const { stage, guest } = this.#settings;
    const { kind, geometry } = guest ?? stage;
    const width = pageBits(geometry) + PAGE_SHIFT;
    const linear = splitAddress(probe.address, width, kind.signExtended);
    const question = this.#question(probe);
    if (!linear.canonical) {
      const cause = { kind: 'general-protection', code: '0x0', errorCode: 0 };
      return { ...question, result: 'fault', cause, errorCode: 0, steps: [], changes: [] };
    }
    const outcome = this.#walk(probe, linear);
    const steps = stepsOf(
      this.#trace,
      this.#nested !== undefined,
      this.#dump,
      (at): FormatKind => (at === GUEST_STAGE && guest !== undefined ? guest : stage).kind,
    );
    const hole = steps.find((step) => step.kind === 'hole');
    if (hole !== undefined) {
      const { level, architecturalLevel, pa } = hole;
      const cause = holeCause(pa);
      return { ...question, result: 'fault', level, architecturalLevel, cause, steps, changes: [] };
    }
    if (outcome === OK) return { ...question, ...this.#found(linear), steps };
    return { ...question, ...this.#fault(outcome, linear, probe), steps, changes: [] };
  }

  #walker(): Walker | NestedWalker {
    return this.#nested ?? this.#single;
  }

  #question(probe: Probe) {
    const { stage, guest } = this.#settings;
    const { kind } = guest ?? stage;
    const privilege = this.#privilegeOf(probe) === SUPERVISOR ? 'supervisor' : 'user';
    const isTold = kind.hasPrivilege || probe.privilege !== undefined;
    return {
      address: `0x${probe.address.toString(16)}`,
      access: ACCESS_LETTERS[probe.access],
      ...(isTold ? { privilege } : {}),
      ...(probe.root === undefined ? {} : { root: hex(probe.root * FRAME_BYTES) }),
    };
  }

  #privilegeOf(probe: Probe): Privilege {
    const { stage, guest, privilege } = this.#settings;
    return probe.privilege ?? privilege ?? (guest ?? stage).kind.privilege;
  }

  #walk(probe: Probe, linear: Linear): Outcome {
    const { stage, guest } = this.#settings;
    const { access } = probe;
    const privilege = this.#privilegeOf(probe);
    const root = probe.root ?? stage.root;
    if (root === undefined) {
      throw new UsageError(`${probe.place}: no root: give --root, or a dump or probe with one`);
    }
    if (guest?.root !== undefined && this.#nested !== undefined) {
      return this.#nested.walk(guest.root, root, linear.page, access, privilege);
    }
    this.#single.reset();
    if (this.#isRootTooFar(root)) return MALFORMED;
    const start = { level: stage.startLevel, pfn: root, rights: ALL_RIGHTS };
    return this.#single.walkFrom(start, linear.page, access, privilege);
  }

  /** Of Arm: the root lies beyond the output address size, which counts as level 0 there. */
  #isRootTooFar(root: number): boolean {
    const { stage, params } = this.#settings;
    const bits = params.paBits;
    return stage.kind.id === 'arm-stage2' && bits !== undefined && root >= 2 ** (bits - PAGE_SHIFT);
  }

  /** Arm reports a fault that no entry is to blame for, as one of its level 0. */
  #failedLevel(outcome: Outcome): number {
    const { kind } = this.#settings.stage;
    const isOfNoEntry =
      (outcome === ABSENT && this.#single.failedPa < 0) ||
      (outcome === MALFORMED && this.#trace.count === 0);
    return isOfNoEntry && kind.id === 'arm-stage2'
      ? kind.architecturalLevel(0)
      : this.#single.level;
  }

  #found(linear: Linear) {
    const memory = this.#dump.memory;
    const nested = this.#nested;
    const level =
      nested === undefined ? this.#single.level : Math.min(nested.level, nested.secondLevel);
    const kind = this.#settings.stage.kind;
    const logs =
      nested === undefined ? [this.#single.changes] : [nested.second.changes, nested.changes];
    return {
      result: 'ok' as const,
      pa: wide((BigInt(this.#walker().pfn) << BigInt(PAGE_SHIFT)) | BigInt(linear.offset)),
      ...(nested === undefined ? {} : { gpa: hex(nested.gfn * FRAME_BYTES + linear.offset) }),
      size: FRAME_BYTES * 2 ** (kind.indexBits * level),
      level,
      architecturalLevel: kind.architecturalLevel(level),
      ...(nested === undefined
        ? {}
        : { guestLevel: nested.level, secondLevel: nested.secondLevel }),
      changes: changesOf(memory, logs),
    };
  }

  #fault(outcome: Outcome, linear: Linear, probe: Probe) {
    const { stage, guest } = this.#settings;
    const { access } = probe;
    const nested = this.#nested;
    if (nested === undefined || guest === undefined) {
      const { kind } = stage;
      const { code } = this.#single;
      const level = this.#failedLevel(outcome);
      const gpa = (BigInt(linear.page) << BigInt(PAGE_SHIFT)) | BigInt(linear.offset);
      const cause = causeOf({ format: kind.id, outcome, code, level, access, gpa });
      const architecturalLevel = kind.architecturalLevel(level);
      return { result: 'fault' as const, level, architecturalLevel, ...cause };
    }
    const second = nested.stage === SECOND_STAGE;
    const level = second ? nested.secondLevel : nested.level;
    const inPage = nested.failedFinal ? linear.offset : nested.failedGpaOffset;
    const gpa = nested.failedGpaPage * FRAME_BYTES + inPage;
    const format = second ? stage.kind.id : guest.kind.id;
    const { code } = nested;
    const cause = causeOf({ format, outcome, code, level, access, gpa: BigInt(gpa) });
    return {
      result: 'fault' as const,
      stage: second ? 'second' : 'guest',
      ...(second ? { gpa: hex(gpa), guestLevel: nested.level } : {}),
      level,
      architecturalLevel: level + 1,
      ...cause,
    };
  }
}

/** The options of `kpop walk`, for the program that wires up all verbs. */
export function addWalkOptions(command: Command): Command {
  const collect = (value: string, before: string[] = []): string[] => [...before, value];
  return command
    .requiredOption('--memory <dump>', 'memory dump: JSON or, with --base, raw; gzip accepted')
    .option('--base <pa>', 'the dump is raw little-endian words from this address on')
    .option('--format <f>', 'x86-64, npt, ept, arm-stage2 or riscv-g')
    .option('--root <pa>', 'physical address of the root table')
    .option('--levels <n>', 'number of table levels')
    .option(
      '--start-level <n>',
      'level of the root table, 0 being that of 4 KiB pages; of arm-stage2 as the manual counts',
    )
    .option('--ipa-bits <n>', 'input address bits (arm-stage2)')
    .option('--ha [on|off]', 'VTCR_EL2.HA: hardware sets the Access flag (arm-stage2)')
    .option('--hd [on|off]', 'VTCR_EL2.HD: hardware keeps dirty state (arm-stage2)')
    .option('--xnx [on|off]', 'FEAT_XNX: execution of EL1 and EL0 apart (arm-stage2)')
    .option('--nxe [on|off]', 'EFER.NXE (x86-64, npt)')
    .option('--no-nxe', 'the same as --nxe off')
    .option('--wp [on|off]', 'CR0.WP (x86-64)')
    .option('--no-wp', 'the same as --wp off')
    .option('--smep [on|off]', 'CR4.SMEP (x86-64)')
    .option('--smap [on|off]', 'CR4.SMAP with EFLAGS.AC = 0 (x86-64)')
    .option('--access-dirty [on|off]', 'hardware writes accessed and dirty bits')
    .option('--no-access-dirty', 'the same as --access-dirty off')
    .option('--execute-only [on|off]', 'execute-only entries are supported (ept)')
    .option('--no-execute-only', 'the same as --execute-only off')
    .option('--gigabyte-pages [on|off]', '1 GiB pages are supported')
    .option(
      '--max-phys-bits <n>',
      'MAXPHYADDR, or the output address size of Arm, 32 to 52 (52; Arm 48)',
    )
    .option('--guest-root <gpa>', "guest-physical address of the guest's root: walk both stages")
    .option('--guest-format <f>', "format of the guest's tables (x86-64)")
    .option('--guest-levels <n>', "levels of the guest's tables")
    .option('--address <a>', 'address[,r|w|x][,user|supervisor]; may be repeated', collect)
    .option('--probes <file>', 'JSON list of {address, access, privilege}')
    .option('--json', 'print one JSON document (kpop.walk/1)');
}
