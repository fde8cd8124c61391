/**
 * AGE as a call: one range in the argument page, whose elements the bits of the answer replace. The
 * page is looked up again before they are written: the host may have moved it.
 */
import {
  AGE_CLEAR,
  AGE_LIMIT,
  AGE_PER_WORD,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  ListHeader,
  Status,
} from '../../abi/kpop.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { frameOf } from '../backing/huge.ts';
import { kpopAge } from '../mmu/kpop/age.ts';
import { loadDying } from '../mmu/kpop/teardown.ts';
import type { KpopVm } from './vm.ts';

/** The status of AGE of the range in the argument page at L1's address `page`. */
export function* ageCall(cpu: Context, vm: KpopVm, page: number): Routine<number> {
  const { space, l2Pages } = vm;
  if (page % FRAME_BYTES !== 0) return Status.invalid;
  if (num(yield loadDying(cpu, space)) !== 0) return Status.stale;
  const at = yield* addressOf(cpu, vm, page);
  if (at < 0) return Status.fault;
  const clears = (cpu.read(at + ListHeader.flags) & AGE_CLEAR) !== 0;
  const first = cpu.read(at + LIST_HEADER_BYTES);
  const count = cpu.read(at + LIST_HEADER_BYTES + LIST_ELEMENT_BYTES / 2);
  const isOne = cpu.read(at + ListHeader.count) === 1;
  if (!isOne || count < 1 || count > AGE_LIMIT || first + count > l2Pages) return Status.invalid;
  const used = yield* kpopAge(cpu, space, { first, end: first + count }, clears);
  const into = yield* addressOf(cpu, vm, page);
  if (into < 0) return Status.fault;
  for (let i = 0; i < count; i += AGE_PER_WORD) {
    const bits = used
      .slice(i, i + AGE_PER_WORD)
      .reduceRight((word, is) => word * 2 + Number(is), 0);
    cpu.write(into + LIST_HEADER_BYTES + (i / AGE_PER_WORD) * 8, bits);
  }
  return Status.ok;
}

/** Where a page of L1 lies now; -1 if it is none. */
function* addressOf(cpu: Context, { space }: KpopVm, page: number): Routine<number> {
  const frame = frameOf(yield* space.l1Memory.find(cpu, page / FRAME_BYTES));
  return frame < 0 ? -1 : frame * FRAME_BYTES;
}
