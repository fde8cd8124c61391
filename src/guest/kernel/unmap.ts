/**
 * Taking pages away from an address space: munmap with shootdown, and the end of a process.
 */

import { pagesAt } from '../../machine/format/format.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { invlpg, loadCr3, sendIpi, VECTOR_CALL } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Area, Process } from '../common/process.ts';
import type { GuestKernel } from './kernel.ts';

/** Beyond this many pages Linux flushes the whole address space (tlb_single_page_flush_ceiling). */
const SINGLE_PAGE_CEILING = 33;

/** Unmaps pages [first, end); their frames are free when no vCPU can reach them any more. */
export function* munmap(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  first: number,
  end: number,
): Routine<void> {
  const frames: number[] = [];
  const { format } = kernel;
  for (let page = first; page < end; page++) {
    const table = yield* kernel.leafTable(cpu, process, page);
    const at = table * FRAME_BYTES + (page % (1 << format.geometry.indexBits)) * 8;
    const old = format.decode(yield cpu.exchangeWord(at, format.empty, 'kernel.munmap.clear'), 0);
    if (old.kind === 'leaf') frames.push(old.pfn);
  }
  if (frames.length === 0) return;
  yield* flushHere(cpu, first, end);
  yield* shootDown(kernel, cpu, process);
  for (const frame of frames) kernel.free(cpu, frame);
}

/** Drops pages [first, end) of the address space that this vCPU runs in. */
export function* flushHere(cpu: GuestContext, first: number, end: number): Routine<void> {
  if (end - first > SINGLE_PAGE_CEILING) {
    const { cr3, pcid } = cpu.regime;
    yield loadCr3(cpu, cr3, pcid, 'flush', 'kernel.munmap.flush');
    return;
  }
  for (let page = first; page < end; page++) yield invlpg(cpu, page, 'kernel.munmap.invlpg');
}

/** Interrupts every other vCPU that may hold translations of the space, and waits for answers. */
export function* shootDown(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
): Routine<void> {
  const users = num(yield cpu.load(process.users, 'kernel.shoot.users'));
  const asked: { answered: number; ticket: number }[] = [];
  for (const vcpu of kernel.vcpus) {
    if (vcpu === cpu || Math.floor(users / 2 ** vcpu.seat) % 2 === 0) continue;
    const { called, answered } = kernel.callWords(vcpu.seat);
    const ticket = num(yield cpu.add(called, 1, 'kernel.shoot.call')) + 1;
    yield sendIpi(cpu, vcpu.seat, VECTOR_CALL, 'kernel.shoot.kick');
    asked.push({ answered, ticket });
  }
  for (const { answered, ticket } of asked) {
    yield cpu.wait([answered], () => cpu.peek(answered) >= ticket, 'kernel.shoot.wait');
  }
}

/** Interrupt handler of a shootdown on its target: flush the current address space, answer. */
export function* answerShootdown(kernel: GuestKernel, cpu: GuestContext): Routine<void> {
  const { called, answered } = kernel.callWords(cpu.seat);
  const calls = num(yield cpu.load(called, 'kernel.answer.look'));
  const { cr3, pcid } = cpu.regime;
  yield loadCr3(cpu, cr3, pcid, 'flush', 'kernel.answer.flush');
  yield cpu.store(answered, calls, 'kernel.answer.done');
}

/**
 * Ends a process: its tables are dismantled and the frames returned to the caller in ascending
 * order, not yet in the pool, so that they can be reported to the owner first. Only entries within
 * `areas` are looked at, as a kernel goes by its list of mapped areas.
 */
export function* exitProcess(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  areas: readonly Area[],
): Routine<number[]> {
  yield kernel.leaveProcess(cpu, 'kernel.exit.leave');
  return yield* dismantleSpace(kernel, cpu, process, areas);
}

/** The frames of a process in which nobody runs, of its pages and tables, in ascending order. */
export function* dismantleSpace(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  areas: readonly Area[],
): Routine<number[]> {
  const frames: number[] = [];
  const top = { table: process.root, level: kernel.format.geometry.levels - 1, firstPage: 0 };
  yield* dismantle(kernel, cpu, top, areas, frames);
  return frames.sort((a, b) => a - b);
}

interface Subtree {
  readonly table: number;
  readonly level: number;
  /** First page that the table maps. */
  readonly firstPage: number;
}

function* dismantle(
  kernel: GuestKernel,
  cpu: GuestContext,
  { table, level, firstPage }: Subtree,
  areas: readonly Area[],
  frames: number[],
): Routine<void> {
  const { format } = kernel;
  const span = pagesAt(format.geometry, level);
  const entries = 1 << format.geometry.indexBits;
  let index = 0;
  for (const area of areas) {
    index = Math.max(index, Math.floor((area.first - firstPage) / span));
    const end = Math.min(entries, Math.ceil((area.end - firstPage) / span));
    for (; index < end; index++) {
      const at = table * FRAME_BYTES + index * 8;
      const seen = format.decode(yield cpu.load(at, 'kernel.exit.look'), level);
      if (seen.kind === 'leaf') frames.push(seen.pfn);
      if (seen.kind !== 'table') continue;
      const below = firstPage + index * span;
      const within = areas.filter((each) => each.first < below + span && each.end > below);
      const subtree = { table: seen.pfn, level: level - 1, firstPage: below };
      yield* dismantle(kernel, cpu, subtree, within, frames);
    }
  }
  frames.push(table);
}
