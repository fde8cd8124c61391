/**
 * One CPU of a machine whose words are shared with other threads: acts on words are performed by
 * the hardware below, everything else by the machine as ever. A thread has a copy of the machine to
 * itself and drives one CPU of it; registers, TLB and contexts of the others stay untouched there.
 *
 * Leaves out: guests with paging of their own, posted interrupts, several interrupts of one vector
 * in flight to a CPU, which are one.
 */
import { defect } from '../../base/assert.ts';
import { type Act, Op } from '../../runtime/act.ts';
import type { Context, Frame } from '../../runtime/context.ts';
import type { SharedWords, ThreadCpu } from '../../runtime/threads.ts';
import type { Cpu } from '../cpu.ts';
import { READ, WRITE } from '../format/judge.ts';
import type { GuestContext } from '../guest.ts';
import { Instruction } from '../instruction.ts';
import type { Machine } from '../machine.ts';
import { FRAME_BYTES } from '../memory.ts';

/** `drop`: the act is not performed. `split`: a locked operation is a load and a store. */
export type SharedWeakening = 'drop' | 'split';

export interface SharedCpuOptions {
  readonly words: SharedWords;
  readonly send: (cpu: number, vector: number) => void;
  readonly weaken: ReadonlyMap<string, SharedWeakening>;
  /** Labels at which a thread of a vCPU may stay for ever, if nothing is above it. */
  readonly restAt: ReadonlySet<string>;
  /** A guest is about to use a translation that its CPU has cached. */
  readonly beforeUse?: (space: number, page: number, frame: number, rights: number) => void;
  /** A frame is about to be zeroed. */
  readonly beforeZero?: (frame: number) => void;
}

export class SharedCpu implements ThreadCpu {
  readonly #m: Machine;
  readonly #cpu: Cpu;
  readonly #options: SharedCpuOptions;
  acts = 0;

  constructor(machine: Machine, cpu: number, options: SharedCpuOptions) {
    this.#m = machine;
    this.#cpu = machine.cpus[cpu] ?? defect('SharedCpu', `no CPU ${cpu}`);
    this.#options = options;
  }

  get label(): string {
    return this.#cpu.current?.top.act.label ?? '';
  }

  get isInGuest(): boolean {
    return this.#cpu.guest !== undefined;
  }

  get isAtRest(): boolean {
    const { current, host } = this.#cpu;
    return current !== undefined && current === host && this.#restsAt(current);
  }

  #restsAt(host: Context): boolean {
    return host.depth === 1 && this.#options.restAt.has(host.top.act.label);
  }

  settle(): boolean {
    for (;;) {
      const context = this.#cpu.current;
      if (context === undefined) return false;
      if (context.top.state === 'offered') return true;
      context.advance();
      if (context.finished) this.#m.finished(this.#cpu, context);
    }
  }

  interrupt(vector: number): void {
    this.#cpu.arrive({ at: 0, vector, notifies: undefined });
    this.#m.interrupt(this.#cpu);
  }

  perform(): boolean {
    const cpu = this.#cpu;
    const context = cpu.current!;
    if (cpu.guest === undefined && cpu.latched.length !== 0 && !context.masked) {
      this.#m.perform(cpu); // pushes the interrupt handler
      return true;
    }
    const { top } = context;
    const isDropped = this.#options.weaken.get(top.act.label) === 'drop';
    if (top.act.op === Op.wait && !isDropped && !top.act.ready!()) return false;
    this.acts++;
    if (isDropped || top.act.op === Op.wait) complete(top, 0, 0);
    else this.#perform(context, top);
    return true;
  }

  #perform(context: Context, frame: Frame): void {
    const { act } = frame;
    if (act.op < Op.fence) this.#onWord(context, frame);
    else if (act.op === Instruction.sendIpi && context === this.#cpu.host) this.#send(frame);
    else {
      if (act.op === Instruction.zeroFrame && context === this.#cpu.host) {
        this.#options.beforeZero?.(act.at);
      }
      this.#m.perform(this.#cpu);
    }
  }

  #send(frame: Frame): void {
    const { at, lo } = frame.act;
    this.#options.send(at, lo);
    complete(frame, 0, 0);
  }

  #onWord(context: Context, frame: Frame): void {
    const pa = this.#physical(context, frame.act);
    if (pa < 0) return; // it exited
    const index = this.#m.memory.indexOf(pa);
    const isSplit = this.#options.weaken.get(frame.act.label) === 'split';
    if (isSplit) this.#addPlainly(frame, index);
    else this.#options.words.perform(frame.act, index, frame.word);
    frame.state = 'done';
  }

  #physical(context: Context, { at, op }: Act): number {
    if (context === this.#cpu.host) return at;
    const guest = context as GuestContext;
    const page = Math.floor(at / FRAME_BYTES);
    const { root, tag } = guest.regime;
    const { tlb } = this.#cpu;
    const frame = tlb.lookup(this.#cpu.guestPhysicalSpace(tag), page, 1 << READ);
    if (frame >= 0) this.#options.beforeUse?.(root, page, frame, tlb.rights);
    return this.#m.translator.guestPhysical(this.#cpu, guest, at, op === Op.load ? READ : WRITE);
  }

  /** An addition whose halves another CPU may get between. */
  #addPlainly({ act, word }: Frame, index: number): void {
    if (act.op !== Op.add) defect('SharedCpu', `${act.label} is no addition, and only those split`);
    const { halves } = this.#options.words;
    word.lo = halves[index]!;
    word.hi = halves[index + 1]!;
    word.ok = true;
    halves[index] = word.lo + act.lo;
  }
}

function complete(frame: Frame, lo: number, hi: number): void {
  frame.word.lo = lo;
  frame.word.hi = hi;
  frame.word.ok = true;
  frame.state = 'done';
}
