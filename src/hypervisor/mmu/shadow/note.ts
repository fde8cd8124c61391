/** Tracepoints about shadow pages, with the fields that KVM's have. */
import type { Entry } from '../../../machine/format/format.ts';
import type { Context } from '../../../runtime/context.ts';
import { SP_UNSYNC, Tracepoint } from '../../../runtime/trace.ts';
import type { ShadowMmu } from './mmu.ts';
import { ShadowPage, StateAt } from './page.ts';

/** `flags`: what the caller knows of it (`SP_NEW`). */
export function noteShadowPage(
  cpu: Context,
  mmu: ShadowMmu,
  kind: number,
  page: number,
  flags: number,
): void {
  let roots = 0;
  let state = flags;
  if (mmu.header === 'full') {
    roots = cpu.read(page + StateAt.roots);
    state |= cpu.read(page + StateAt.unsync) === 0 ? 0 : SP_UNSYNC;
    state |= cpu.read(page + StateAt.generation) << 2;
  }
  const gfn = cpu.read(page + ShadowPage.at.gfn);
  const role = cpu.read(page + ShadowPage.at.role);
  cpu.tracepoint(Tracepoint.more, roots, state);
  cpu.tracepoint(kind, gfn, role);
}

/** A leaf was set: `at` is where it lies. */
export function noteLeaf(cpu: Context, gfn: number, level: number, at: number, entry: Entry): void {
  cpu.tracepoint(Tracepoint.more, entry.lo, entry.hi);
  cpu.tracepoint(Tracepoint.setSpte, gfn * 8 + level + 1, at);
}
