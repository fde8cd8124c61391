/**
 * The local state of a hart as a hash: for each of its contexts what the code has observed since
 * its last point of rest, and every register. Code is deterministic, so that equal observations
 * mean equal futures; at a point of rest nothing it observed before matters any more.
 *
 * Points of rest are places in the code whose local variables are the same whenever it gets there:
 * the top of a vCPU thread's loop (label `run.requests`, nothing above it on the stack), and
 * wherever a routine says so (`Context.rest`); a loop that tries again says that it forgets the
 * attempt (`Context.attempt`, `again`), and code that is done with what it saw says what it keeps
 * of it (`conclude`). That the claim holds is checked: a local
 * state that is reached in two ways and then reads other words, or does other things, is a defect.
 */
import { defect } from '../../base/assert.ts';
import { Hash64 } from '../../base/hash.ts';
import { Op } from '../../runtime/act.ts';
import type { Context, Follower, Frame } from '../../runtime/context.ts';
import { type HartView, Offer, type Translation } from '../../runtime/hart.ts';
import type { Cpu } from '../cpu.ts';
import { GuestContext } from '../guest.ts';
import { Instruction } from '../instruction.ts';
import { FRAME_BYTES } from '../memory.ts';
import type { ExploredActs } from './acts.ts';
import type { HostileHardware } from './adversary.ts';
import type { ExploredTlb } from './tlb.ts';
import { contextsOf, guestsOf, type World } from './world.ts';

/**
 * How much of what was observed a local state forgets: whatever code says it may; only at points of
 * rest and where a loop begins again; nothing. The others are oracles of the first.
 */
export type Forgetting = 'claimed' | 'loops' | 'nothing';

/** Labels at which a context whose stack holds nothing else is at rest. */
const REST_LABELS: ReadonlySet<string> = new Set(['run.requests', 'l1.rest']);

export class Observer implements Follower {
  readonly #world: World;
  readonly #cpu: Cpu;
  readonly #acts: ExploredActs;
  readonly #hardware: HostileHardware;
  readonly #forgets: Forgetting;
  readonly #histories = new Map<Context, Hash64>();
  /** Where a context rests: the point of each routine on the way there, outermost first. */
  readonly #points = new Map<Context, readonly number[]>();
  /** What had been observed when something was attempted, by context and label. */
  readonly #attempts = new Map<string, { readonly low: number; readonly high: number }>();
  readonly #key = new Hash64();
  readonly #nests: boolean;

  constructor(
    world: World,
    cpu: Cpu,
    acts: ExploredActs,
    options: { readonly hardware: HostileHardware; readonly forget?: Forgetting | undefined },
  ) {
    this.#world = world;
    this.#cpu = cpu;
    this.#acts = acts;
    this.#hardware = options.hardware;
    this.#forgets = options.forget ?? 'claimed';
    for (const context of contextsOf(world.machine, cpu.id)) context.follower = this;
    this.#nests = guestsOf(world.machine, cpu.id).some((guest) => guest.level > 1 || isFlat(guest));
  }

  begin(): void {
    this.#world.notes.message = '';
  }

  /** Runs code of `context` and notes what it was given and what it read. */
  run(context: Context, code: () => void): void {
    const history = this.#history(context);
    const { word } = context.top;
    history.add(context.depth);
    history.add(word.lo);
    history.add(word.hi);
    history.add(word.ok ? 1 : 0);
    const { tape } = this.#world.memory;
    tape.heard = history;
    code();
    tape.heard = undefined;
    if (!context.finished && this.#isAtRest(context)) this.#rewind(context);
  }

  rest(context: Context, point: number, depth: number): void {
    const points = [...(this.#points.get(context) ?? []).slice(0, depth), point];
    this.#points.set(context, points);
    this.#rewind(context);
  }

  /** Nothing is left but where the context rests, as the routines around that place say. */
  #rewind(context: Context): void {
    if (this.#forgets === 'nothing') return;
    const history = this.#history(context);
    history.reset();
    for (const each of this.#points.get(context) ?? []) history.add(each);
  }

  attempt(context: Context, label: string): void {
    const { low, high } = this.#history(context);
    this.#attempts.set(`${context.id} ${label}`, { low, high });
  }

  again(context: Context, label: string): void {
    if (this.#forgets !== 'nothing') this.#goBack(context, label);
  }

  /** The context knows what it knew when `label` was attempted. */
  #goBack(context: Context, label: string): void {
    const then = this.#attempts.get(`${context.id} ${label}`);
    if (then === undefined) defect('Observer.again', `${label} was not attempted`);
    const history = this.#history(context);
    history.low = then.low;
    history.high = then.high;
  }

  conclude(context: Context, label: string, summary: number): void {
    if (this.#forgets !== 'claimed') return;
    this.#goBack(context, label);
    const history = this.#history(context);
    history.addText(label);
    history.add(summary);
  }

  began(context: Context, operation: string, args: readonly number[]): void {
    const { marks } = this.#world.memory.tape;
    marks.push({ context: context.name, operation, args, result: undefined });
  }

  ended(context: Context, operation: string, result: string): void {
    const { marks } = this.#world.memory.tape;
    marks.push({ context: context.name, operation, args: [], result });
  }

  #isAtRest(context: Context): boolean {
    if (context.depth !== 1) return false;
    const { top } = context;
    return top.state === 'offered' && REST_LABELS.has(top.act.label);
  }

  #history(context: Context): Hash64 {
    let history = this.#histories.get(context);
    if (history === undefined) {
      history = new Hash64();
      this.#histories.set(context, history);
    }
    return history;
  }

  view(crash: string): HartView {
    const cpu = this.#cpu;
    const context = cpu.current;
    if (context?.top.act.op === Op.wait) this.#world.notes.waits(cpu.id, context.top.act.label);
    const key = this.#key;
    key.reset();
    this.#addRegisters(key);
    // A broken promise is part of what was reached: without it the state may be known already.
    key.addText(crash !== '' ? crash : this.#world.notes.message);
    const { act } = context?.top ?? { act: undefined };
    return {
      keyLow: key.low,
      keyHigh: key.high,
      offer: crash !== '' ? Offer.crashed : this.#offer(),
      choices: act?.op === Op.choose ? act.lo : 0,
      label: act?.label ?? '',
      op: act?.op ?? -1,
      context: context?.name ?? '',
      order: act === undefined ? 'relaxed' : this.#acts.orderOf(act),
      translation: this.#translation(),
      space: this.#space(),
      nests: this.#nests,
      locks: this.#world.notes.held[cpu.id]!.length,
      buffered: this.#acts.buffer.stores.length,
      message:
        crash !== '' ? `code.assertion: the code stops: ${crash}` : this.#world.notes.message,
    };
  }

  #offer(): number {
    const context = this.#cpu.current;
    if (context === undefined) return Offer.none;
    const { op } = context.top.act;
    if (op === Op.wait) return Offer.wait;
    return op === Op.choose ? Offer.choose : Offer.act;
  }

  #space(): number {
    const { guest } = this.#cpu;
    if (guest === undefined) return -1;
    const { root, shadowRoot } = guest.regime;
    const space = shadowRoot === 0 ? root : shadowRoot;
    return this.#hardware.watches(space) ? space : -1;
  }

  /** The page that the offered act needs, if a guest in a watched space offers one. */
  #translation(): Translation | undefined {
    const { guest, current } = this.#cpu;
    if (guest === undefined || current !== guest || this.#acts.canTakeInterrupt()) return undefined;
    const { act } = guest.top;
    const space = this.#space();
    if (space < 0) return undefined;
    if (act.op === Instruction.access) return { space, page: act.at, right: 1 << act.lo };
    if (act.op > Op.and && act.op !== Instruction.zeroFrame) return undefined;
    const at = act.op === Instruction.zeroFrame ? act.at * FRAME_BYTES : act.at;
    const right = act.op === Op.load ? 1 : 2;
    return { space, page: Math.floor(at / FRAME_BYTES), right };
  }

  #addRegisters(key: Hash64): void {
    const cpu = this.#cpu;
    for (const context of contextsOf(this.#world.machine, cpu.id)) this.#addContext(key, context);
    key.add(cpu.current?.id ?? -1);
    key.add(cpu.guest?.id ?? -1);
    key.add(cpu.block);
    for (const { vector, notifies } of cpu.latched) key.add(vector + 256 * (notifies?.id ?? -1));
    key.add(-3);
    for (const kind of this.#world.notes.held[cpu.id]!) key.add(kind);
    key.add(-4);
    for (const value of this.#acts.state()) key.add(value);
    for (const { tlb } of this.#world.machine.cpus) key.add((tlb as ExploredTlb).isOwed ? 1 : 0);
    for (const object of this.#world.privates(cpu.id)) addFields(key, object);
  }

  #addContext(key: Hash64, context: Context): void {
    const history = this.#history(context);
    key.add(history.low);
    key.add(history.high);
    key.add((context.masked ? 1 : 0) + 2 * context.depth);
    if (!context.finished) addFrames(key, context.top);
    if (!(context instanceof GuestContext)) return;
    key.add(context.cpu);
    addFields(key, context.regime);
    for (const register of context.registers) key.add(register);
    for (const vector of context.apic.requested) key.add(vector);
    key.add(-5);
    for (const vector of context.apic.inService) key.add(vector);
  }
}

/** Its own tables are shadowed: what they say may be used until it flushes. */
function isFlat(guest: GuestContext): boolean {
  return guest.regime.cr3 !== 0;
}

/**
 * What each routine on a stack is about to do, or was answered. What code forgets must not decide
 * that: of a claim that is wrong by so little nothing is lost but the states that it would save.
 */
function addFrames(key: Hash64, top: Frame): void {
  for (let frame: Frame | undefined = top; frame !== undefined; frame = frame.below) {
    const { state, act, word } = frame;
    key.addText(state);
    if (state === 'offered') {
      key.addText(act.label);
      for (const field of [act.op, act.at, act.lo, act.hi]) key.add(field);
      if (act.op !== Op.cas) continue;
      key.add(act.seenLo);
      key.add(act.seenHi);
    } else if (state === 'done') {
      key.add(word.lo);
      key.add(word.hi);
      key.add(word.ok ? 1 : 0);
    }
  }
}

/** Numbers, booleans and references to guests in an object's own fields. */
function addFields(key: Hash64, object: object): void {
  for (const value of Object.values(object)) {
    if (typeof value === 'number') key.add(value);
    else if (typeof value === 'boolean') key.add(value ? 1 : 0);
    else if (value instanceof GuestContext) key.add(value.id);
    else if (hasGuest(value)) key.add(value.guest.id);
    else if (value === undefined) key.add(-6);
  }
}

/** What a vCPU runs (`Running`) is told by its guest. */
function hasGuest(value: unknown): value is { guest: GuestContext } {
  return typeof value === 'object' && value !== null && 'guest' in value;
}
