/**
 * Taking whole SPs out, under the lock held for writing: an SP that nobody uses as a root goes; one
 * that is in use as a root becomes invalid, and its last user takes it out. Frames are free after
 * the flush that the caller makes.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, __kvm_mmu_prepare_zap_page, kvm_mmu_zap_all,
 * kvm_mmu_zap_all_fast (facts; primer/x86.md 3.2).
 */
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { Tracepoint } from '../../../runtime/trace.ts';
import { type ShadowMmu, targetIn } from './mmu.ts';
import { noteShadowPage } from './note.ts';
import { Role, ShadowPage, StateAt } from './page.ts';
import { clearUnsync } from './sync.ts';
import { markedChildren } from './unsync.ts';
import { unshadow, zapEntry } from './zap.ts';

/** What a series of zaps leaves to do. */
export interface Zapped {
  /** Frames to give back once no CPU can walk them any more. */
  readonly frames: number[];
  /** Roots that are in use and invalid now: whoever runs on one must load another. */
  roots: number;
  /** SPs zapped. */
  pages: number;
}

export function nothingZapped(): Zapped {
  return { frames: [], roots: 0, pages: 0 };
}

/** Zaps an SP, and those below it that are out of step. */
export function* zapPage(
  cpu: Context,
  mmu: ShadowMmu,
  page: number,
  zapped: Zapped,
): Routine<void> {
  noteShadowPage(cpu, mmu, Tracepoint.prepareZapPage, page, 0);
  zapped.pages++;
  yield* zapUnsyncChildren(cpu, mmu, page, zapped);
  for (let index = 0; index < mmu.entries; index++) {
    if (cpu.read(mmu.mapped(cpu, { page, index })) !== 0)
      yield* zapEntry(cpu, mmu, { page, index });
  }
  for (const parent of mmu.parentsOf(cpu, page)) yield* zapEntry(cpu, mmu, parent);
  const role = cpu.read(page + ShadowPage.at.role);
  if (num(yield cpu.load(page + StateAt.unsync, 'shadow.zap-page.unsync')) !== 0) {
    yield* clearUnsync(cpu, mmu, page);
  }
  if (!Role.isInvalid(role)) {
    yield* mmu.untrack(cpu, page);
    mmu.delist(cpu, page);
  }
  if (cpu.read(page + StateAt.roots) > 0) {
    cpu.write(page + ShadowPage.at.role, Role.invalid(role));
    zapped.roots++;
    return;
  }
  const { table, mapped } = mmu.release(cpu, page);
  zapped.frames.push(table, mapped);
}

/** They would be out of step for ever: nobody above them could tell. */
function* zapUnsyncChildren(
  cpu: Context,
  mmu: ShadowMmu,
  parent: number,
  zapped: Zapped,
): Routine<void> {
  for (const index of markedChildren(cpu, mmu, parent)) {
    const child = targetIn(cpu.read(mmu.mapped(cpu, { page: parent, index })));
    if (child < 0) continue;
    if (num(yield cpu.load(child + StateAt.unsync, 'shadow.zap-page.child')) !== 0) {
      yield* zapPage(cpu, mmu, child, zapped);
    } else yield* zapUnsyncChildren(cpu, mmu, child, zapped);
  }
}

/** The guest frame is no table any more: all its SPs go, whatever their headers are. */
export function forgetTable(
  cpu: Context,
  mmu: ShadowMmu,
  gfn: number,
): Routine<{ frames: number[]; roots: number }> {
  return mmu.header === 'small' ? unshadow(cpu, mmu, gfn) : zapTable(cpu, mmu, gfn);
}

/** The same for `full` ones; how many of them were of the top level. */
function* zapTable(
  cpu: Context,
  mmu: ShadowMmu,
  gfn: number,
): Routine<{ frames: number[]; roots: number }> {
  const zapped = nothingZapped();
  let roots = 0;
  for (;;) {
    const [page] = yield* mmu.pagesOf(cpu, gfn);
    if (page === undefined) return { frames: zapped.frames, roots };
    const level = Role.level(cpu.read(page + ShadowPage.at.role));
    if (level === mmu.format.geometry.levels - 1) roots++;
    yield* zapPage(cpu, mmu, page, zapped);
  }
}

/** All SPs, the newest first: the VM goes. */
export function* zapAll(cpu: Context, mmu: ShadowMmu, zapped: Zapped): Routine<void> {
  for (let page = mmu.newest(cpu); page !== 0; page = mmu.newest(cpu)) {
    yield* zapPage(cpu, mmu, page, zapped);
  }
}

/**
 * Makes every SP obsolete at once; they are taken out by `zapObsolete`, and meanwhile nobody finds
 * them.
 */
export function zapAllFast(cpu: Context, mmu: ShadowMmu): void {
  cpu.tracepoint(Tracepoint.zapAllFast, mmu.used(cpu), mmu.generation(cpu));
  mmu.nextGeneration(cpu);
}

/** Takes out what is obsolete, the newest first. */
export function* zapObsolete(cpu: Context, mmu: ShadowMmu, zapped: Zapped): Routine<void> {
  for (let page = mmu.newest(cpu); page !== 0; ) {
    const older = cpu.read(page + StateAt.older);
    if (mmu.isObsolete(cpu, page)) {
      yield* zapPage(cpu, mmu, page, zapped);
      page = mmu.newest(cpu); // others may have gone with it
    } else page = older;
  }
}

/** A user of a root is no user any more. */
export function* dropRoot(
  cpu: Context,
  mmu: ShadowMmu,
  root: number,
  zapped: Zapped,
): Routine<void> {
  const users = cpu.read(root + StateAt.roots) - 1;
  cpu.write(root + StateAt.roots, users);
  const role = cpu.read(root + ShadowPage.at.role);
  if (users === 0 && Role.isInvalid(role)) yield* zapPage(cpu, mmu, root, zapped);
}
