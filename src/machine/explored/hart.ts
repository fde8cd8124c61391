/**
 * A live hart: one CPU of a copy of a system, whose code runs for real. Its words come from a tape,
 * stores may linger in its store buffer (TSO), and labelled primitives may be weakened. Prices do
 * not matter here.
 *
 * Under TSO a store act waits in the buffer; locked operations, fences, serialising instructions
 * and the delivery of interrupts drain it first (Intel SDM vol. 3, 9.2 and 9.3), a VM entry does
 * not. Plain words go straight to memory: they are private or guarded by a lock, whose release
 * follows them.
 */

import type { Act } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Effect, type HartView, Input, type LiveHart, type Tape } from '../../runtime/hart.ts';
import type { Cpu, InFlight } from '../cpu.ts';
import type { GuestContext } from '../guest.ts';
import { Instruction } from '../instruction.ts';
import { ExploredActs, type MemoryOrder } from './acts.ts';
import type { HostileHardware } from './adversary.ts';
import { type Forgetting, Observer } from './observer.ts';
import { StaleWalk } from './stale-walk.ts';
import type { ExploredTlb } from './tlb.ts';
import type { Weakening } from './weakening.ts';
import type { World } from './world.ts';

export interface HartOptions {
  readonly order: MemoryOrder;
  readonly weaken: readonly Weakening[];
  readonly hardware: HostileHardware;
  readonly forget?: Forgetting | undefined;
}

/** A signal is a vector, and the guest whose posted interrupts it announces, if any. */
const VECTORS = 256;

export class ExploredHart implements LiveHart {
  readonly tape: Tape;
  readonly #world: World;
  readonly #cpu: Cpu;
  readonly #acts: ExploredActs;
  readonly #observer: Observer;
  readonly #stale: StaleWalk;
  #crash = '';

  constructor(world: World, cpu: number, tape: Tape, options: HartOptions) {
    this.tape = tape;
    this.#world = world;
    this.#cpu = world.machine.cpus[cpu]!;
    const tlb = this.#cpu.tlb as ExploredTlb;
    tlb.tape = tape;
    world.memory.attach(tape);
    const { guestsAtOnce = false } = world;
    this.#acts = new ExploredActs(world.machine, this.#cpu, tape, { ...options, guestsAtOnce });
    this.#observer = new Observer(world, this.#cpu, this.#acts, options);
    this.#stale = new StaleWalk(world.machine, options.hardware);
  }

  perform(input: number, argument: number): number {
    this.#observer.begin();
    if (input === Input.probe) return this.#acts.isReady() ? 1 : 0;
    try {
      this.#take(input, argument);
      this.#emit();
      this.tape.endAct();
      this.#settle();
    } catch (error) {
      // An assertion in the code of a design, reached in some interleaving: a broken promise of
      // the design. Anything that is not one (a diverged replay) goes on up.
      if (!(error instanceof Error) || error.name !== 'Defect') throw error;
      this.#crash = error.message;
    }
    this.#emit();
    return 0;
  }

  #take(input: number, argument: number): void {
    const cpu = this.#cpu;
    switch (input) {
      case Input.start:
        break;
      case Input.act:
        if (argument !== 0) this.#stale.use(cpu, argument);
        this.#perform();
        (cpu.tlb as ExploredTlb).use = undefined;
        break;
      case Input.interrupt:
        this.#acts.drainAll();
        cpu.arrive(this.#signal(argument));
        this.#world.machine.interrupt(cpu);
        break;
      case Input.drain:
        this.#acts.drainOne();
        break;
      default: {
        const { top } = cpu.current!;
        top.word.lo = argument;
        top.word.hi = 0;
        top.state = 'done';
      }
    }
  }

  /** The act that is offered, and what it means beyond this CPU's own words. */
  #perform(): void {
    const cpu = this.#cpu;
    const { current, guest } = cpu;
    const { act } = current!.top;
    this.#acts.perform();
    if (act.op === Instruction.tlbsync && !this.#acts.isDropped(act.label)) this.#synchronise();
    if (guest !== undefined && current === guest && cpu.guest === undefined) this.#flushed(act);
  }

  /**
   * A guest's instruction that flushes has exited: what its tables said before this moment is past
   * when the instruction retires. What others change from here on is concurrent with it.
   */
  #flushed({ op, at, hi }: Act): void {
    const isAll = op === Instruction.vmrun || (op === Instruction.loadCr3 && hi === 1);
    if (isAll) this.tape.emit(Effect.guestFlush, -1, 0);
    else if (op === Instruction.invlpg) this.tape.emit(Effect.guestFlush, at, 0);
  }

  /** TLBSYNC: broadcast invalidations of this CPU's are over everywhere. */
  #synchronise(): void {
    for (const { id, tlb } of this.#world.machine.cpus) {
      const other = tlb as ExploredTlb;
      if (!other.isOwed) continue;
      other.isOwed = false;
      this.tape.emit(Effect.invalidateAt, id, 0);
    }
  }

  /** Lets the code run until it offers an act, or all of it has ended. */
  #settle(): void {
    for (;;) {
      const context: Context | undefined = this.#cpu.current;
      if (context === undefined) return;
      if (context.top.state === 'offered') {
        if (!this.#acts.isSilent(this.#world.silent)) return;
        this.#acts.perform();
        continue;
      }
      if (context !== this.#cpu.host && context.top.act.op === Instruction.invept) {
        this.tape.emit(Effect.guestFlush, -1, 0); // it was emulated, and retires
      }
      this.#observer.run(context, () => context.advance());
      if (context.finished) this.#world.machine.finished(this.#cpu, context);
    }
  }

  /** What left this CPU for others becomes effects. */
  #emit(): void {
    for (const other of this.#world.machine.cpus) {
      while (other.inFlight.length > 0) {
        const { vector, notifies } = other.takeArrival();
        const about = notifies === undefined ? 0 : notifies.id + 1;
        this.tape.emit(Effect.signal, other.id, about * VECTORS + vector);
      }
    }
  }

  #signal(code: number): InFlight {
    const about = Math.floor(code / VECTORS);
    const notifies = about === 0 ? undefined : this.#guest(about - 1);
    return { at: 0, vector: code % VECTORS, notifies };
  }

  #guest(id: number): GuestContext {
    return this.#world.machine.guests.find((guest) => guest.id === id)!;
  }

  view(): HartView {
    return this.#observer.view(this.#crash);
  }
}
