/**
 * A walk of the guest's own tables by software, as for a page fault and for every address that an
 * emulated instruction uses: the guest's accessed and dirty bits are set by compare-and-swap.
 *
 * Source: arch/x86/kvm/mmu/paging_tmpl.h, walk_addr_generic, update_accessed_dirty_bits (facts).
 */
import { type Entry, indexAt, pagesAt } from '../../machine/format/format.ts';
import {
  ABSENT,
  type Access,
  ALL_RIGHTS,
  DENIED,
  LEAF,
  MALFORMED,
  NOT_PRESENT,
  OK,
  type Outcome,
  type Privilege,
  RESERVED,
  RIGHT_EXECUTE,
  RIGHT_USER,
  RIGHT_WRITE,
  WRITE,
} from '../../machine/format/judge.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Tracepoint } from '../../runtime/trace.ts';
import { ACCESS_ALL, ACCESS_EXECUTE, ACCESS_USER, ACCESS_WRITE } from '../mmu/shadow/page.ts';
import type { GuestStep } from '../mmu/shadow/tables.ts';
import type { ShadowVm } from './state.ts';

/** What an access to a linear address wants. */
export interface Wanted {
  /** Linear address. */
  readonly address: number;
  readonly access: Access;
  readonly privilege: Privilege;
  /** The error code as hardware gave it, or as software would; for the tracepoint. */
  readonly code: number;
}

/** A step with the guest frame of its table, and the rights of the entries above it. */
export interface LongModeStep extends GuestStep {
  readonly table: number;
  /** `ACCESS_…` of the entries above. */
  readonly above: number;
}

export interface Found {
  readonly steps: readonly LongModeStep[];
  /** Guest frame of the page, whatever the size of the guest's page. */
  readonly gfn: number;
  /** `ACCESS_…` of all entries; without the right to write while the dirty bit is clear. */
  readonly access: number;
}

/** The guest's page, the #PF code that its tables call for, or: an entry changed meanwhile. */
export type GuestWalk = Found | { readonly fault: number } | 'changed';

/** What the walk has seen so far. */
interface Descent {
  readonly steps: LongModeStep[];
  rights: number;
  outcome: Outcome;
}

/** `root`: the guest frame in CR3; -1: the guest has no paging, and frames are pages. */
export function* walkGuest(
  cpu: Context,
  vm: ShadowVm,
  root: number,
  want: Wanted,
): Routine<GuestWalk> {
  const page = Math.floor(want.address / FRAME_BYTES);
  if (root < 0) return { steps: [], gfn: page, access: ACCESS_ALL };
  cpu.tracepoint(Tracepoint.pagetableWalk, want.address, want.code);
  const seen: Descent = { steps: [], rights: ALL_RIGHTS, outcome: OK };
  yield* descend(cpu, vm, root, page, seen);
  const { judge } = vm;
  if (seen.outcome === OK && !judge.allows(seen.rights, want.access, want.privilege)) {
    seen.outcome = DENIED;
  }
  if (seen.outcome !== OK) {
    const { outcome, rights } = seen;
    const { access, privilege } = want;
    const fault = judge.code({ outcome, access, privilege, rights, target: 'final' });
    cpu.tracepoint(Tracepoint.walkerError, fault, 0);
    return { fault };
  }
  const steps = yield* markUsed(cpu, vm, seen.steps, want.access === WRITE);
  if (steps === undefined) return 'changed';
  const last = steps[steps.length - 1]!;
  const clean = last.entry.dirty ? 0 : ACCESS_WRITE;
  return {
    steps,
    gfn: last.entry.pfn + (page % pagesAt(judge.geometry, last.level)),
    access: accessOf(seen.rights) & ~clean,
  };
}

/** Rights of a walk in the order of KVM's masks. */
export function accessOf(rights: number): number {
  return (
    ((rights & RIGHT_EXECUTE) !== 0 ? ACCESS_EXECUTE : 0) |
    ((rights & RIGHT_WRITE) !== 0 ? ACCESS_WRITE : 0) |
    ((rights & RIGHT_USER) !== 0 ? ACCESS_USER : 0)
  );
}

function* descend(
  cpu: Context,
  vm: ShadowVm,
  root: number,
  page: number,
  seen: Descent,
): Routine<void> {
  const { judge } = vm;
  const { format } = vm.mmu;
  let table = root;
  for (let level = judge.geometry.levels - 1; level >= 0; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const frame = yield* vm.backing.find(cpu, table);
    if (frame < 0) {
      seen.outcome = ABSENT; // the guest points outside its memory
      return;
    }
    const at = frame * FRAME_BYTES + indexAt(judge.geometry, page, level) * 8;
    const entry = format.decode(yield cpu.load(at, 'shadow.walk.look'), level);
    cpu.tracepoint(Tracepoint.pagingElement, entry.lo, entry.hi * 8 + level + 1);
    const verdict = judge.judge(entry.lo, entry.hi, level);
    if (verdict < 0) {
      seen.outcome = verdict === RESERVED ? MALFORMED : ABSENT;
      seen.rights = verdict === NOT_PRESENT ? 0 : seen.rights;
      return;
    }
    seen.steps.push({ level, at, entry, table, above: accessOf(seen.rights) });
    seen.rights &= verdict & ALL_RIGHTS;
    if ((verdict & LEAF) !== 0) return;
    table = entry.pfn;
  }
}

/** The steps with A set, and D in a leaf that is written to; undefined if the guest was faster. */
function* markUsed(
  cpu: Context,
  vm: ShadowVm,
  steps: readonly LongModeStep[],
  write: boolean,
): Routine<readonly LongModeStep[] | undefined> {
  const { accessedMask, dirtyMask } = vm.judge;
  const marked: LongModeStep[] = [];
  for (const [i, step] of steps.entries()) {
    const { entry, level } = step;
    const isLeaf = i === steps.length - 1;
    const needsDirty = isLeaf && write && !entry.dirty;
    if (entry.accessed && !needsDirty) {
      marked.push(step);
      continue;
    }
    const gpa = step.table * FRAME_BYTES + (step.at % FRAME_BYTES);
    if (!entry.accessed) cpu.tracepoint(Tracepoint.setAccessedBit, gpa, 0);
    if (needsDirty) cpu.tracepoint(Tracepoint.setDirtyBit, gpa, 0);
    const lo = entry.lo | accessedMask | (needsDirty ? dirtyMask : 0);
    const now: Entry = vm.mmu.format.decode({ lo, hi: entry.hi }, level);
    if (!won(yield cpu.casWord(step.at, entry, now, 'shadow.walk.mark'))) return undefined;
    marked.push({ ...step, entry: now });
  }
  return marked;
}
