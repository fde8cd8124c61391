/**
 * One execution, driven move by move. A move is: a processor performs its offered act, a pending
 * interrupt reaches it, hardware makes a move of its own there, or a free choice is answered. After
 * each move the code runs on to its next act, so that every state has all acts offered.
 *
 * Generators cannot be copied, but a context is a function of what it has observed: the state is
 * the engine's, and for each context a hash of the words and plain values it has been given.
 */
import { Op } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Processor } from '../../runtime/processor.ts';
import { type ExploredEngine, Hasher } from './engine.ts';

/** `processor * 256 + kind`; kinds from CHOICE on answer a free choice. */
export type Move = number;
const ACT = 0;
const INTERRUPT = 1;
const HARDWARE = 2;
const CHOICE = 64;

export function processorOf(move: Move): number {
  return move >> 8;
}

/** Whether a processor's own code moves, rather than hardware. */
export function isAct(move: Move): boolean {
  const kind = move & 255;
  return kind === ACT || kind >= CHOICE;
}

/** No processor performs `label` more than `times` times: what goes on for ever is cut there. */
export interface Limit {
  readonly label: string;
  readonly times: number;
}

export class Stage {
  readonly engine: ExploredEngine;
  /** Moves taken. */
  length = 0;
  /** A processor was held at a limit when `moves` was asked last. */
  cut = false;
  readonly #limits: readonly Limit[];
  readonly #passed: Int32Array; // per processor and limit
  readonly #seen: Hasher[] = []; // per context id
  #running: Context | undefined;

  constructor(engine: ExploredEngine, limits: readonly Limit[]) {
    this.engine = engine;
    this.#limits = limits;
    this.#passed = new Int32Array(engine.processors.length * limits.length);
    engine.onWake(() => undefined);
    engine.onRead((value) => {
      if (this.#running !== undefined) this.#history(this.#running).add(value);
    });
    for (const processor of engine.processors) this.#settle(processor);
  }

  /** Moves that are possible now, in a fixed order. */
  moves(): Move[] {
    const found: Move[] = [];
    this.cut = false;
    for (const processor of this.engine.processors) {
      const base = processor.id << 8;
      if (processor.current !== undefined) this.#acts(processor, base, found);
      if (processor.interruptAt < Number.POSITIVE_INFINITY) found.push(base + INTERRUPT);
      const own = this.engine.hardwareMoves(processor);
      for (let i = 0; i < own; i++) found.push(base + HARDWARE + i);
    }
    return found;
  }

  #acts(processor: Processor, base: number, found: Move[]): void {
    const { act } = processor.current!.top;
    if (this.#isHeld(processor, act.label)) {
      this.cut = true;
      return;
    }
    if (act.op === Op.choose) {
      for (let pick = 0; pick < act.lo; pick++) found.push(base + CHOICE + pick);
    } else if (this.engine.isReady(processor)) {
      found.push(base + ACT);
    }
  }

  take(move: Move): void {
    const processor = this.engine.processors[processorOf(move)]!;
    const kind = move & 255;
    this.length++;
    if (kind === ACT) {
      this.#count(processor, processor.current!.top.act.label);
      this.engine.perform(processor);
    } else if (kind === INTERRUPT) {
      this.engine.interrupt(processor);
    } else if (kind >= CHOICE) {
      const { word } = processor.current!.top;
      word.lo = kind - CHOICE;
      word.hi = 0;
      processor.current!.top.state = 'done';
    } else {
      this.engine.performHardware(processor, kind - HARDWARE);
    }
    this.#settle(processor);
  }

  /** Names a move that is possible now. */
  describe(move: Move): string {
    const processor = this.engine.processors[processorOf(move)]!;
    const kind = move & 255;
    const context = processor.current;
    const where = `cpu${processor.id}`;
    if (kind === INTERRUPT) return `${where} interrupt arrives`;
    if (kind >= HARDWARE && kind < CHOICE) return `${where} hardware: oldest store leaves`;
    const pick = kind >= CHOICE ? ` = ${kind - CHOICE}` : '';
    return `${where} ${context!.name}: ${context!.top.act.label}${pick}`;
  }

  /** Names of contexts whose code is not at its end. */
  unfinished(): string[] {
    return this.engine.processors.flatMap((p) => (p.current === undefined ? [] : [p.current.name]));
  }

  fingerprint(): number {
    const hasher = new Hasher();
    this.engine.hash(hasher);
    for (const history of this.#seen) hasher.add(history.value);
    for (const processor of this.engine.processors) hasher.add(processor.current?.id ?? -1);
    return hasher.value;
  }

  /** Lets the code on `processor` run until it offers an act, or has ended. */
  #settle(processor: Processor): void {
    for (;;) {
      const context = processor.current;
      if (context === undefined) return;
      const frame = context.top;
      if (frame.state === 'offered') return;
      const history = this.#history(context);
      history.add(context.depth);
      history.add(frame.word.lo);
      history.add(frame.word.hi);
      history.add(frame.word.ok ? 1 : 0);
      this.#running = context;
      context.advance();
      this.#running = undefined;
      if (context.finished) this.engine.finished(processor, context);
    }
  }

  #history(context: Context): Hasher {
    while (this.#seen.length <= context.id) this.#seen.push(new Hasher());
    return this.#seen[context.id]!;
  }

  #isHeld(processor: Processor, label: string): boolean {
    return this.#limits.some((limit, i) => {
      const passed = this.#passed[processor.id * this.#limits.length + i]!;
      return limit.label === label && passed >= limit.times;
    });
  }

  #count(processor: Processor, label: string): void {
    for (let i = 0; i < this.#limits.length; i++) {
      if (this.#limits[i]!.label !== label) continue;
      const at = processor.id * this.#limits.length + i;
      this.#passed[at] = this.#passed[at]! + 1;
    }
  }
}
