/** The answers of `kpop walk`: steps, changes, and the text form. */

import {
  LEAF,
  NOT_PRESENT,
  RIGHT_EXECUTE,
  RIGHT_READ,
  RIGHT_USER,
  RIGHT_WRITE,
} from '../machine/format/judge.ts';
import type { FormatKind } from '../machine/format/registry.ts';
import type { Memory } from '../machine/memory.ts';
import { GUEST_STAGE } from '../machine/walk-2d.ts';
import type { Changes, WalkTrace } from '../machine/walk-log.ts';
import type { Cause, Reported } from './walk-cause.ts';
import { type Dump, hex, word64 } from './walk-dump.ts';

export interface WalkStep {
  readonly stage?: 'guest' | 'second';
  readonly level: number;
  readonly architecturalLevel: number;
  readonly table: string;
  readonly index: number;
  /** Where the entry lies. */
  readonly pa: string;
  readonly entry: string | null;
  readonly kind: 'table' | 'leaf' | 'absent' | 'malformed' | 'hole';
  readonly rights: string;
}

export interface ProbeResult extends Reported {
  readonly address: string;
  readonly access: string;
  readonly privilege?: string;
  readonly root?: string;
  readonly result: 'ok' | 'fault';
  readonly pa?: string;
  readonly gpa?: string;
  readonly size?: number;
  readonly level?: number;
  readonly architecturalLevel?: number;
  readonly guestLevel?: number;
  readonly secondLevel?: number;
  readonly stage?: string;
  readonly cause?: Cause & Reported;
  readonly steps: readonly WalkStep[];
  readonly changes: readonly (readonly [pa: string, word: string])[];
}

const ENTRY_BYTES = 8;
/** Formats whose entries tell users and supervisors not apart. */
const WITHOUT_USER = ['ept', 'arm-stage2'];

/** The words that a walk which succeeded leaves behind, by ascending address. */
export function changesOf(memory: Memory, logs: readonly Changes[]): [pa: string, word: string][] {
  const list: { pa: number; word: bigint }[] = [];
  for (const { count, pa, bits } of logs) {
    for (let i = 0; i < count; i++) {
      const at = memory.indexOf(pa[i]);
      list.push({ pa: pa[i], word: word64(memory.words[at] | bits[i], memory.words[at + 1]) });
    }
  }
  list.sort((a, b) => a.pa - b.pa);
  return list.map(({ pa, word }) => [hex(pa), `0x${word.toString(16)}`]);
}

/** Every entry read, up to the first that the dump does not hold. */
export function stepsOf(
  trace: WalkTrace,
  nested: boolean,
  dump: Dump,
  kindOfStage: (stage: number) => FormatKind,
): WalkStep[] {
  const steps: WalkStep[] = [];
  for (let i = 0; i < trace.count; i++) {
    const pa = trace.pa[i];
    const held = dump.holds(pa);
    const word = word64(trace.lo[i], trace.hi[i]);
    const format = kindOfStage(trace.stage[i]);
    steps.push({
      ...(nested ? { stage: trace.stage[i] === GUEST_STAGE ? 'guest' : 'second' } : {}),
      level: trace.level[i],
      architecturalLevel: format.architecturalLevel(trace.level[i]),
      table: hex(pa - trace.index[i] * ENTRY_BYTES),
      index: trace.index[i],
      pa: hex(pa),
      entry: held ? `0x${word.toString(16)}` : null,
      kind: held ? kindOf(trace.verdict[i]) : 'hole',
      rights: held ? rightsText(trace.verdict[i], !WITHOUT_USER.includes(format.id)) : '',
    });
    if (!held) break;
  }
  return steps;
}

function kindOf(verdict: number): WalkStep['kind'] {
  if (verdict < 0) return verdict === NOT_PRESENT ? 'absent' : 'malformed';
  return verdict >= LEAF ? 'leaf' : 'table';
}

/** What an entry itself permits, as in `rw-u`. */
function rightsText(verdict: number, hasUser: boolean): string {
  if (verdict < 0) return '';
  const letter = (right: number, name: string): string => ((verdict & right) !== 0 ? name : '-');
  return (
    letter(RIGHT_READ, 'r') +
    letter(RIGHT_WRITE, 'w') +
    letter(RIGHT_EXECUTE, 'x') +
    (hasUser ? letter(RIGHT_USER, 'u') : '')
  );
}

interface Printable {
  readonly format: string;
  readonly levels: number;
  readonly probes: readonly ProbeResult[];
}

export function textOf(document: Printable): string {
  return document.probes.map(probeText).join('\n');
}

function probeText(probe: ProbeResult): string {
  const who = probe.privilege === undefined ? '' : ` ${probe.privilege}`;
  const lines = [`${probe.address} ${probe.access}${who}: ${resultText(probe)}`];
  for (const step of probe.steps) {
    const stage = step.stage === undefined ? '' : `${step.stage.padEnd(6)} `;
    const entry = step.entry ?? '(not in the dump)';
    const where = `level ${step.architecturalLevel} ${step.table}[${step.index}]`;
    lines.push(`  ${stage}${where} = ${entry} ${step.kind} ${step.rights}`.trimEnd());
  }
  for (const [pa, word] of probe.changes) lines.push(`  sets ${pa} to ${word}`);
  return `${lines.join('\n')}\n`;
}

function resultText(probe: ProbeResult): string {
  if (probe.result === 'ok') return `${probe.pa} (page of ${sizeText(probe.size ?? 0)})`;
  const { cause } = probe;
  if (cause === undefined) return 'fault';
  if (cause.kind === 'hole') return `the dump has no word at ${cause.pa}`;
  const code = cause.code === undefined ? '' : ` ${cause.code}`;
  const bits = cause.bits === undefined ? '' : ` (${cause.bits.join(', ')})`;
  const where = probe.stage === 'second' ? ` at guest-physical ${probe.gpa}` : '';
  return `${cause.kind}${code}${bits}${where}`;
}

function sizeText(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let size = bytes / 1024;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size} ${units[unit]}`;
}
