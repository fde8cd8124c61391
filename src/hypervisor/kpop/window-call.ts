/** WINDOW as a call: one window in the argument page, whose words are read once. */
import {
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  ListHeader,
  PROT_READ,
  Status,
  targetGfn,
  targetProt,
} from '../../abi/kpop.ts';
import { WINDOW_CALL, WINDOW_PAGES } from '../../abi/kpop-window.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import { frameOf } from '../backing/huge.ts';
import { retire } from '../emulate.ts';
import { loadDying } from '../mmu/kpop/teardown.ts';
import { openWindow } from '../mmu/kpop/window.ts';
import type { WindowArray } from '../mmu/kpop/window-array.ts';
import type { Vcpu } from '../vcpu.ts';
import type { KpopVm } from './vm.ts';

/** Words are read as numbers: an epoch beyond this would not be exact. */
const EPOCH_LIMIT = 2 ** 52;

/** WINDOW of the argument page at L1's address `page`. */
export function* windowCall(
  cpu: Context,
  v: Vcpu,
  vm: KpopVm,
  windows: WindowArray,
  page: number,
): Routine<void> {
  cpu.note(Event.hypercall, WINDOW_CALL, 0);
  yield* retire(cpu, v, yield* answer(cpu, vm, windows, page));
}

function* answer(
  cpu: Context,
  { space, l2Pages }: KpopVm,
  windows: WindowArray,
  page: number,
): Routine<number> {
  if (page % FRAME_BYTES !== 0) return Status.invalid;
  if (num(yield loadDying(cpu, space)) !== 0) return Status.stale;
  const frame = frameOf(yield* space.l1Memory.find(cpu, page / FRAME_BYTES));
  if (frame < 0) return Status.fault;
  const at = frame * FRAME_BYTES;
  const first = cpu.read(at + LIST_HEADER_BYTES);
  const pages = cpu.read(at + LIST_HEADER_BYTES + 8);
  const target = cpu.read(at + LIST_HEADER_BYTES + LIST_ELEMENT_BYTES);
  const epoch = cpu.read(at + ListHeader.epoch);
  const prot = targetProt(target);
  const isOne = cpu.read(at + ListHeader.count) === 1 && epoch <= EPOCH_LIMIT;
  const isInside = pages >= 1 && pages <= WINDOW_PAGES && first + pages <= l2Pages;
  if (!isOne || !isInside || (prot & PROT_READ) === 0) return Status.invalid;
  const window = { first, end: first + pages, l1gfn: targetGfn(target), prot, epoch };
  return yield* openWindow(cpu, space, windows, window);
}
