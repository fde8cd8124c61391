/**
 * KPOP's L0 as its specification: the abstract state in words, each hypercall one act per step of
 * the specification, and where that allows several outcomes a free choice. A guest hypervisor that
 * is right over this one relies on nothing that L0 does not promise.
 *
 * Leaves out: L2's hardware (an access of L2 finds the intent, or goes to L1), L0's own memory
 * management (pages of L1 are always resident), argument pages that L1 changes while they are read.
 */
import {
  FLAG_MORE,
  FUSED_RECORD_BYTES,
  KpopCall,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  ListHeader,
  PROT_WRITE,
  packAnswer,
  StatePage,
  Status,
  targetGfn,
  targetProt,
} from '../abi/kpop.ts';
import type { View } from '../check/invariant/view.ts';
import { KpopSpecification, type KpopState } from '../check/oracle/kpop.ts';
import type { Call, Step } from '../check/oracle/specification.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';

/**
 * Words of a page: its L1 page + 1 (0: none), rights, epoch of its last restriction; the L1 page
 * + 1 that was there before, while that may still be used.
 */
const PAGE_BYTES = 32;
const LINGERING = 24;

export interface SpecifiedOptions {
  readonly pages: number;
  readonly l1Pages: number;
  /** Whether what was removed is told apart from what is out of use: if L1 asks for flushes. */
  readonly lingers: boolean;
}

export class SpecifiedL0 {
  readonly pages: number;
  /** Where its words lie. */
  readonly at: number;
  readonly bytes: number;
  readonly #specification = new KpopSpecification({ fenceOf: () => 0 });
  readonly #resident: readonly boolean[];
  readonly #lingers: boolean;
  readonly #words: number;
  /** The fence; its load is the act by which a step of the specification happens. */
  readonly #fence: number;

  constructor(platform: Platform, { pages, l1Pages, lingers }: SpecifiedOptions) {
    this.pages = pages;
    this.#lingers = lingers;
    this.bytes = pages * PAGE_BYTES + 8;
    this.at = platform.arena.take(this.bytes);
    this.#words = this.at + 8;
    this.#fence = this.at;
    this.#resident = new Array<boolean>(l1Pages).fill(true);
  }

  /** L1's page that L2's page is mapped to; -1 for none. */
  l1gfnOf(memory: Pick<View, 'read'>, page: number): number {
    return memory.read(this.#words + page * PAGE_BYTES) - 1;
  }

  /** The L1 page that L2 may still use there though nobody wants it any more; -1 for none. */
  lingeringAt(memory: Pick<View, 'read'>, page: number): number {
    return memory.read(this.#words + page * PAGE_BYTES + LINGERING) - 1;
  }

  canWrite(memory: Pick<View, 'read'>, page: number): boolean {
    return (memory.read(this.#words + page * PAGE_BYTES + 8) & PROT_WRITE) !== 0;
  }

  /** MAP, UNMAP and PROTECT with a list in L1's memory; FLUSH. */
  *answer(cpu: Context, operation: number, at: number): Routine<number> {
    if (operation === KpopCall.flush) {
      yield* this.#perform(cpu, { operation: 'flush', args: [] });
      return Status.ok;
    }
    const isLast = !this.#lingers || (cpu.read(at + ListHeader.flags) & FLAG_MORE) === 0;
    const count = cpu.read(at + ListHeader.count);
    const epoch = cpu.read(at + ListHeader.epoch);
    for (let i = 0; i < count; i++) {
      const element = at + LIST_HEADER_BYTES + i * LIST_ELEMENT_BYTES;
      const [first, second] = [cpu.read(element), cpu.read(element + 8)];
      let status: string;
      if (operation === KpopCall.map) status = yield* this.#map(cpu, first, second, epoch);
      else if (operation === KpopCall.protect) {
        status = yield* this.#protect(cpu, first, second, epoch);
      } else status = yield* this.#unmap(cpu, { first, end: first + second }, epoch, isLast);
      if (status !== 'ok') return packAnswer(Status[status as keyof typeof Status], i);
    }
    return packAnswer(Status.ok, isLast ? 0 : 1);
  }

  #protect(cpu: Context, target: number, count: number, epoch: number): Routine<string> {
    const first = targetGfn(target);
    const args = [first, first + count, targetProt(target), epoch];
    return this.#perform(cpu, { operation: 'protect', args });
  }

  #unmap(cpu: Context, { first, end }: PageRange, epoch: number, isLast: boolean): Routine<string> {
    const args = [first, end, epoch];
    return this.#perform(cpu, { operation: isLast ? 'unmap' : 'unmap-more', args });
  }

  /** RUN: the fused operation first; then whether L2's write to `page` went through. */
  *run(cpu: Context, state: number, page: number): Routine<boolean> {
    for (let i = 0; i < cpu.read(state + StatePage.fusedCount); i++) {
      const at = state + StatePage.fused + i * FUSED_RECORD_BYTES;
      const [first, second, epoch] = [cpu.read(at + 8), cpu.read(at + 16), cpu.read(at + 24)];
      const isMap = cpu.read(at) === KpopCall.map;
      const status = isMap
        ? yield* this.#map(cpu, first, second, epoch)
        : yield* this.#protect(cpu, first, second, epoch);
      cpu.write(at, Status[status as keyof typeof Status]);
      if (status !== 'ok') return false;
    }
    yield cpu.load(this.#fence, 'l0.run');
    return this.l1gfnOf(cpu, page) >= 0 && this.canWrite(cpu, page);
  }

  #map(cpu: Context, page: number, target: number, epoch: number): Routine<string> {
    const args = [page, targetGfn(target), targetProt(target), epoch];
    return this.#perform(cpu, { operation: 'map', args });
  }

  /** Step by step, each of them one act with what follows it. */
  *#perform(cpu: Context, call: Call): Routine<string> {
    let at: number | string = 0;
    while (typeof at === 'number') {
      yield cpu.load(this.#fence, `l0.${call.operation}`);
      let outcomes = this.#outcomes(cpu, call, at);
      if (outcomes.length > 1) {
        const chosen = num(yield cpu.choose(outcomes.length, `l0.${call.operation}.outcome`));
        yield cpu.load(this.#fence, `l0.${call.operation}.chosen`);
        outcomes = this.#outcomes(cpu, call, at).slice(chosen);
      }
      const [step] = outcomes;
      if (step === undefined) continue; // what was chosen is no outcome any more
      this.#write(cpu, step.state);
      at = step.at;
    }
    return at;
  }

  /** Outcomes that L1 can tell apart. */
  #outcomes(cpu: Context, call: Call, at: number): readonly Step<KpopState>[] {
    const found = new Map<string, Step<KpopState>>();
    for (const step of this.#specification.steps(this.#read(cpu), call, at)) {
      const pages = step.state.pages.map(({ l1gfn, prot, epoch }) => [l1gfn, prot, epoch]);
      const ended = typeof step.at === 'string' ? step.at : '';
      const lingering = this.#lingers ? step.state.pages.map((page) => page.lingers) : '';
      const key = `${pages} ${step.state.fences} ${ended} ${lingering}`;
      if (!found.has(key)) found.set(key, step);
    }
    return [...found.values()];
  }

  #read(cpu: Context): KpopState {
    const pages = Array.from({ length: this.pages }, (_, page) => {
      const at = this.#words + page * PAGE_BYTES;
      const [l1gfn, prot, epoch] = [cpu.read(at) - 1, cpu.read(at + 8), cpu.read(at + 16)];
      const lingers = cpu.read(at + LINGERING) !== 0;
      return { l1gfn, prot, epoch, hardware: 0, lingers, withdrawn: 0 };
    });
    return { pages, fences: [cpu.read(this.#fence)], resident: this.#resident };
  }

  #write(cpu: Context, { pages, fences }: KpopState): void {
    pages.forEach(({ l1gfn, prot, epoch, lingers }, page) => {
      const at = this.#words + page * PAGE_BYTES;
      if (this.#lingers) this.#writeLingering(cpu, at, l1gfn, lingers);
      if (cpu.read(at) !== l1gfn + 1) cpu.write(at, l1gfn + 1);
      if (cpu.read(at + 8) !== prot) cpu.write(at + 8, prot);
      if (cpu.read(at + 16) !== epoch) cpu.write(at + 16, epoch);
    });
    if (cpu.read(this.#fence) !== fences[0]!) cpu.write(this.#fence, fences[0]!);
  }

  /** Before the words of the page at `at` change. */
  #writeLingering(cpu: Context, at: number, l1gfn: number, lingers: boolean): void {
    const [old, was] = [cpu.read(at), cpu.read(at + LINGERING)];
    if (!lingers && was !== 0) cpu.write(at + LINGERING, 0);
    if (lingers && l1gfn < 0 && old !== 0) cpu.write(at + LINGERING, old);
  }
}
