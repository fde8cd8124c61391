/**
 * A context: one thread of any level (a vCPU thread of L0 or L1, an L2 program in its kernel, a
 * worker), a value that a scheduler holds. Its methods offer acts; yielding what they return hands
 * the act to the scheduler. The same methods serve every level: which memory an address means, and
 * whether an instruction is privileged here, is decided by whoever performs the act.
 *
 * A context has a stack of frames because an interrupt runs on top of what it interrupted; the
 * interrupted frame keeps its pending act.
 */
import { defect } from '../base/assert.ts';
import { high } from '../base/bits.ts';
import { type Act, newAct, Op, type Order, type Routine, type Word } from './act.ts';
import type { Processor } from './processor.ts';

/** One routine on a context's stack, with its pending act and the word of its last one. */
export interface Frame {
  routine: Routine<unknown>;
  readonly act: Act;
  readonly word: Word;
  /**
   * `fresh`: not started; `offered`: the act waits to be performed; `calling`: a routine that it
   * called runs above; `done`: performed.
   */
  state: 'fresh' | 'offered' | 'calling' | 'done';
  readonly below: Frame | undefined;
  /** The frame used last on top of this one: kept, so that a call allocates none. */
  above: Frame | undefined;
}

/** Stands in a frame until a routine is put there. */
const NOTHING = (function* nothing(): Routine<void> {
  // never resumed
})();

/**
 * `next` of every routine. Looked up on the routines themselves, it would be found on another
 * prototype for each of the many generator functions, and slowly.
 */
const resume: Routine<unknown>['next'] = NOTHING.next;

/** Plain words: read and written without a step, by ordinary functions. */
export interface PlainMemory {
  read(context: Context, at: number): number;
  write(context: Context, at: number, value: number): void;
  /** Reads as many words from `at` on as `into` holds, all in one page. */
  readRun(context: Context, at: number, into: Float64Array): void;
  writeRun(context: Context, at: number, from: Float64Array): void;
  /** Value of a word for a wait predicate; no cost, no trace. */
  peek(context: Context, at: number): number;
  /** Charges `count` units of software work to the context's CPU, without a step. */
  spend(context: Context, unit: number, count: number): void;
  /** Emits a trace event at the context's CPU and time. */
  note(context: Context, event: number, a: number, b: number): void;
  /** The same for a tracepoint; nothing if nobody listens. */
  tracepoint(context: Context, kind: number, a: number, b: number): void;
}

/**
 * Performs acts as they are offered, if no other processor's act and no interrupt could come first:
 * what a scheduler would do next anyway, without handing the act to it. Sets `isPerformed` and
 * `goesOn` of the frame's act; false: nothing was done.
 */
export interface OnTheSpot {
  /** A load; the act itself is not filled in. */
  load(context: Context, act: Act, at: number): boolean;
  /** The act that the top frame offers. */
  perform(context: Context, frame: Frame): void;
}

/**
 * Who follows what a context has observed, so that states which differ in nothing that matters are
 * told to be equal. Nobody does while time is simulated.
 */
export interface Follower {
  rest(context: Context, point: number, depth: number): void;
  attempt(context: Context, label: string): void;
  again(context: Context, label: string): void;
  conclude(context: Context, label: string, summary: number): void;
  began(context: Context, operation: string, args: readonly number[]): void;
  ended(context: Context, operation: string, result: string): void;
}

export class Context {
  readonly id: number;
  readonly name: string;
  /** Physical CPU it runs on; -1 while parked. */
  cpu = -1;
  /** That CPU. */
  on: Processor | undefined;
  /**
   * Number of its CPU in its own machine: the physical CPU's for a host, the vCPU's for a
   * guest.
   */
  seat = -1;
  /** Interrupts are not delivered while set: IRQs off. */
  masked = false;
  follower: Follower | undefined;
  readonly #plain: PlainMemory;
  readonly #spot: OnTheSpot | undefined;
  readonly #bottom: Frame;
  /** The frame on top, whose routine is offering or has offered; none once all has ended. */
  frame: Frame | undefined;
  #act: Act; // of the top frame

  constructor(id: number, name: string, plain: PlainMemory, spot?: OnTheSpot) {
    this.id = id;
    this.name = name;
    this.#plain = plain;
    this.#spot = spot;
    this.#bottom = newFrame(undefined);
    this.#act = this.#bottom.act;
  }

  /** Puts `routine` on top: the context's body, an interrupt handler, or what a call names. */
  push(routine: Routine<unknown>): void {
    const below = this.frame;
    const frame = below === undefined ? this.#bottom : (below.above ?? newFrame(below));
    frame.routine = routine;
    frame.state = 'fresh';
    frame.word.lo = 0;
    frame.word.hi = 0;
    frame.word.ok = true;
    this.frame = frame;
    this.#act = frame.act;
  }

  /**
   * Lets the code run until it has offered an act, or its top routine has ended and what that one
   * interrupted is on top again. Calls and their returns are no acts: they happen on the way, in no
   * time and at no scheduler's choice.
   */
  advance(): void {
    for (;;) {
      const step = this.#resume(this.frame!);
      if (step.done !== true) return;
      this.pop();
      const caller = this.frame;
      if (caller?.state !== 'calling') return;
      answer(caller, step.value);
    }
  }

  /** Resumes the routine of the top frame until it ends, or its act keeps it from going on. */
  #resume(frame: Frame): IteratorResult<Act, unknown> {
    for (;;) {
      const step = resume.call(frame.routine, frame.word);
      if (step.done === true) return step;
      const act = step.value;
      if (act.goesOn) continue; // performed on the spot, and yielded all the same
      if (act !== frame.act) defect('Context.advance', `${this.name} yielded a foreign act`);
      if (act.op !== Op.call) frame.state = act.isPerformed ? 'done' : 'offered';
      return step;
    }
  }

  /** Removes the finished top frame; what is below it is on top again. */
  pop(): void {
    const below = this.frame?.below;
    this.frame = below;
    if (below !== undefined) this.#act = below.act;
  }

  /** Forgets everything the context was about to do; its words stay as they are. */
  kill(): void {
    this.frame = undefined;
  }

  get top(): Frame {
    return this.frame ?? defect('Context.top', `${this.name} has no frame`);
  }

  get finished(): boolean {
    return this.frame === undefined;
  }

  /** Frames on the stack. */
  get depth(): number {
    let depth = 0;
    for (let frame = this.frame; frame !== undefined; frame = frame.below) depth++;
    return depth;
  }

  // --- plain words -------------------------------------------------------------------------

  read(at: number): number {
    return this.#plain.read(this, at);
  }

  write(at: number, value: number): void {
    this.#plain.write(this, at, value);
  }

  /** The same as `read` of each word from `at` on, as many as `into` holds, all in one page. */
  readRun(at: number, into: Float64Array): void {
    this.#plain.readRun(this, at, into);
  }

  /** The same as `write` of each word. */
  writeRun(at: number, from: Float64Array): void {
    this.#plain.writeRun(this, at, from);
  }

  /** For wait predicates only. */
  peek(at: number): number {
    return this.#plain.peek(this, at);
  }

  /** Software work that the code itself counts (preset units), charged to this CPU. */
  spend(unit: number, count: number): void {
    this.#plain.spend(this, unit, count);
  }

  /** Emits a trace event (`runtime/trace.ts`); touches nothing. */
  note(event: number, a: number, b: number): void {
    this.#plain.note(this, event, a, b);
  }

  /** Hits a tracepoint (`runtime/trace.ts`), which is off unless somebody listens. */
  tracepoint(kind: number, a: number, b: number): void {
    this.#plain.tracepoint(this, kind, a, b);
  }

  // --- points of rest: no step, no cost, nothing that simulated code could notice ------------

  /**
   * Nothing observed so far decides what the routine does from here on, but `point`, and the points
   * of the `depth` routines around it.
   */
  rest(point: number, depth: number): void {
    this.follower?.rest(this, point, depth);
  }

  /** Something begins that may fail and be tried again: `again` with the same label. */
  attempt(label: string): void {
    this.follower?.attempt(this, label);
  }

  /** Of all that was observed since `attempt`, nothing but `summary` will be remembered. */
  conclude(label: string, summary: number): void {
    this.follower?.conclude(this, label, summary);
  }

  /** The attempt failed, and nothing observed since it began will be remembered. */
  again(label: string): void {
    this.follower?.again(this, label);
  }

  // --- what an operation is to its caller: nothing that simulated code could notice -----------

  /** An operation that has a specification begins, with its first act. */
  began(operation: string, ...args: readonly number[]): void {
    this.follower?.began(this, operation, args);
  }

  /** The operation that began last here is over: its caller knows `result`. */
  ended(operation: string, result: string): void {
    this.follower?.ended(this, operation, result);
  }

  // --- atomic words: each is one step ------------------------------------------------------

  load(at: number, label: string, order: Order = 'acquire'): Act {
    const act = this.#act;
    if (this.#spot?.load(this, act, at) === true) return act;
    return this.#now(this.#offer(Op.load, at, 0, 0, label, order));
  }

  store(at: number, value: number, label: string, order: Order = 'release'): Act {
    return this.#now(this.#offer(Op.store, at, value | 0, high(value), label, order));
  }

  storeWord(at: number, value: { lo: number; hi: number }, label: string): Act {
    return this.#now(this.#offer(Op.store, at, value.lo, value.hi, label, 'release'));
  }

  storeLow(at: number, value: number, label: string): Act {
    return this.#now(this.#offer(Op.storeLow, at, value | 0, 0, label, 'release'));
  }

  cas(at: number, seen: number, next: number, label: string): Act {
    const act = this.#offer(Op.cas, at, next | 0, high(next), label, 'full');
    act.seenLo = seen | 0;
    act.seenHi = high(seen);
    return this.#now(act);
  }

  casWord(
    at: number,
    seen: { lo: number; hi: number },
    next: { lo: number; hi: number },
    label: string,
  ): Act {
    const act = this.#offer(Op.cas, at, next.lo, next.hi, label, 'full');
    act.seenLo = seen.lo;
    act.seenHi = seen.hi;
    return this.#now(act);
  }

  exchange(at: number, value: number, label: string): Act {
    return this.#now(this.#offer(Op.exchange, at, value | 0, high(value), label, 'full'));
  }

  exchangeWord(at: number, value: { lo: number; hi: number }, label: string): Act {
    return this.#now(this.#offer(Op.exchange, at, value.lo, value.hi, label, 'full'));
  }

  /** Adds `delta` (may be negative) and yields the old value. */
  add(at: number, delta: number, label: string): Act {
    return this.#now(
      this.#offer(Op.add, at, delta | 0, delta < 0 ? -1 : high(delta), label, 'full'),
    );
  }

  /** Adds `lo` and `hi` to the halves as one 64-bit addition. */
  addWord(at: number, lo: number, hi: number, label: string): Act {
    return this.#now(this.#offer(Op.add, at, lo, hi, label, 'full'));
  }

  or(at: number, bits: number, label: string): Act {
    return this.#now(this.#offer(Op.or, at, bits | 0, high(bits), label, 'full'));
  }

  and(at: number, lo: number, hi: number, label: string): Act {
    return this.#now(this.#offer(Op.and, at, lo, hi, label, 'full'));
  }

  /** A full barrier: earlier stores are visible before later loads are performed. */
  fence(label: string): Act {
    return this.#now(this.#offer(Op.fence, 0, 0, 0, label, 'full'));
  }

  /** Waits until `ready`, which reads the words at `watch` and nothing else. */
  wait(watch: readonly number[], ready: () => boolean, label: string): Act {
    const act = this.#offer(Op.wait, watch[0] ?? 0, 0, 0, label, 'acquire');
    act.watch = watch;
    act.ready = ready;
    return act;
  }

  /** A free choice among `count`: the scheduler answers 0 .. count-1 (`num` of the word). */
  choose(count: number, label: string): Act {
    return this.#offer(Op.choose, 0, count, 0, label, 'full');
  }

  /** The same memory act as `act`, at another address: how a trapped store is carried out. */
  sameAs(act: Act, at: number, label: string): Act {
    const offer = this.#offer(act.op, at, act.lo, act.hi, label, act.order);
    offer.seenLo = act.seenLo;
    offer.seenHi = act.seenHi;
    return this.#now(offer);
  }

  /** A machine instruction (`machine/instruction.ts` defines the codes). */
  instruct(op: number, at: number, lo: number, hi: number, operand: unknown, label: string): Act {
    const act = this.#offer(op, at, lo, hi, label, 'full');
    act.operand = operand;
    return this.#now(act);
  }

  /**
   * Runs `routine` as `yield*` would, but on a frame of its own: an act that it offers does not
   * have to be resumed through everything that the caller is part of. Worth it where the caller
   * stands deep and the routine offers several acts. Its result, a number from 0 below 2^53 or a
   * boolean, comes back as a word: `num(yield cpu.call(…))`, `won(yield cpu.call(…))`. It begins
   * here and now; the caller pauses only if the routine does.
   */
  call(routine: Routine<number | boolean | void>): Act {
    const caller = this.frame!;
    const { act } = caller;
    act.op = Op.call;
    caller.state = 'calling';
    this.push(routine);
    const step = this.#resume(this.frame!);
    act.goesOn = step.done === true;
    if (step.done === true) {
      this.pop();
      answer(caller, step.value);
    }
    return act;
  }

  /**
   * What takes an act on another machine and none on this one: the answer is there, as the word of
   * an act that is over. No step, no time; a number from 0 below 2^53.
   */
  known(value: number): Act {
    const { act, word } = this.frame!;
    act.op = Op.call;
    act.goesOn = true;
    word.lo = value | 0;
    word.hi = high(value);
    word.ok = true;
    return act;
  }

  #now(act: Act): Act {
    this.#spot?.perform(this, this.frame!);
    return act;
  }

  #offer(op: number, at: number, lo: number, hi: number, label: string, order: Order): Act {
    const act = this.#act;
    act.op = op;
    act.at = at;
    act.lo = lo;
    act.hi = hi;
    act.label = label;
    act.order = order;
    act.isPerformed = false;
    act.goesOn = false;
    return act;
  }
}

function newFrame(below: Frame | undefined): Frame {
  const word = { lo: 0, hi: 0, ok: true };
  const act = newAct(word);
  const frame: Frame = { routine: NOTHING, act, word, state: 'fresh', below, above: undefined };
  if (below !== undefined) below.above = frame;
  return frame;
}

/** Completes the act by which `caller` called with what the routine returned. */
function answer(caller: Frame, value: unknown): void {
  const { word } = caller;
  caller.state = 'done';
  word.ok = value !== false;
  if (typeof value !== 'number') return;
  if (value < 0) defect('Context.call', `a called routine cannot answer ${value}`);
  word.lo = value | 0;
  word.hi = high(value);
}
