/**
 * Small concurrent programs as systems that engines can explore: an array of instructions per task,
 * words and everything else in one array of numbers with an undo log, and exact footprints. No
 * generators, no machine: what an engine gets wrong here is the engine's.
 *
 * Memory is sequentially consistent, or total store order (Sewell et al., CACM 53(7), 2010): each
 * task has a store buffer, emptied by a hardware actor; its own loads see the buffered stores;
 * locked operations and fences wait until it is empty.
 */
import { defect } from '../../src/base/assert.ts';
import {
  actorOf,
  alternativeOf,
  type Explored,
  type Footprint,
  type Move,
  moveOf,
} from '../../src/schedule/explore/system.ts';
import {
  type Condition,
  type Instruction,
  IRQ_REGISTER,
  labelOf,
  type Operand,
  type Program,
  REGISTERS,
} from './toy-program.ts';

// Fields of a task in the state.
const PC = 0;
const REGS = 1;
const IRQ = REGS + REGISTERS;
const FAILED = IRQ + 1; // program counter of a failed assertion, plus 1
const COUNT = FAILED + 1; // stores in the buffer
const SLOTS = COUNT + 1; // word and value of each, oldest first

class Touched implements Footprint {
  length = 0;
  readonly #words: number[] = [];
  readonly #wrote: boolean[] = [];

  wordAt(i: number): number {
    return this.#words[i]!;
  }

  wroteAt(i: number): boolean {
    return this.#wrote[i]!;
  }

  clear(): void {
    this.length = 0;
  }

  add(word: number, wrote: boolean): void {
    for (let i = 0; i < this.length; i++) {
      if (this.#words[i] !== word) continue;
      if (wrote) this.#wrote[i] = true;
      return;
    }
    this.#words[this.length] = word;
    this.#wrote[this.length++] = wrote;
  }
}

/** Actors: the tasks, then under total store order their buffers, then, if used, interrupts. */
export class Toy implements Explored {
  readonly program: Program;
  readonly actors: number;
  hashLow = 0;
  hashHigh = 0;
  readonly #tasks: number;
  readonly #capacity: number; // 0: no buffers
  readonly #state: Int32Array;
  readonly #hashed: number; // words of the state from here on only number the slots of buffers
  readonly #stride: number;
  readonly #moves: Move[] = [];
  readonly #touched = new Touched();
  readonly #looked = new Touched();
  readonly #log: number[] = []; // index, old value
  readonly #marks: number[] = []; // length of the log before each move
  readonly #taken: number[] = []; // actor and program counter of each move

  constructor(program: Program) {
    const { tasks, words, order } = program;
    const interrupts = tasks.some((code) => code.some(({ op }) => op === 'raise'));
    this.program = program;
    this.#tasks = tasks.length;
    this.#capacity = order === 'tso' ? (program.capacity ?? 2) : 0;
    this.actors = tasks.length * (1 + (order === 'tso' ? 1 : 0) + (interrupts ? 1 : 0));
    this.#stride = SLOTS + 2 * this.#capacity;
    this.#hashed = words.length + tasks.length * this.#stride;
    this.#state = new Int32Array(this.#hashed + tasks.length);
    this.#state.set(words);
    for (let task = 0; task < tasks.length; task++) this.#settle(task);
    this.#log.length = 0;
  }

  get depth(): number {
    return this.#marks.length;
  }

  get footprint(): Footprint {
    return this.#touched;
  }

  isTask(actor: number): boolean {
    return actor < this.#tasks;
  }

  taskOf(actor: number): number {
    return actor % this.#tasks;
  }

  moves(): readonly Move[] {
    this.#moves.length = 0;
    for (let actor = 0; actor < this.actors; actor++) {
      if (!this.#isPossible(actor)) continue;
      const alternatives = this.isTask(actor) ? this.#alternatives(actor) : 1;
      for (let i = 0; i < alternatives; i++) this.#moves.push(moveOf(actor, i));
    }
    return this.#moves;
  }

  take(move: Move): void {
    const actor = actorOf(move);
    const task = this.taskOf(actor);
    this.#marks.push(this.#log.length);
    this.#taken.push(actor, this.#get(task, PC));
    this.#touched.clear();
    if (this.isTask(actor)) {
      this.#touched.add(this.#registersOf(task), true);
      if (!this.#isReady(task, this.#touched)) defect('Toy.take', `${move} is not possible`);
      const code = this.#next(task)!;
      this.#set(task, PC, this.#get(task, PC) + 1);
      this.#perform(task, code, alternativeOf(move));
      this.#settle(task);
    } else if (this.#isBuffer(actor)) {
      this.#drain(task);
    } else {
      this.#deliver(task);
    }
  }

  undo(): void {
    const mark = this.#marks.pop()!;
    this.#taken.length -= 2;
    while (this.#log.length > mark) {
      const old = this.#log.pop()!;
      this.#write(this.#log.pop()!, old);
    }
  }

  /**
   * Words that an actor without a possible move looks at: it stays so until one is written. Empty
   * if it is at its end.
   */
  watched(actor: number): Footprint {
    const looked = this.#looked;
    const task = this.taskOf(actor);
    looked.clear();
    if (this.#isBuffer(actor)) looked.add(this.#slotOf(task, -this.#get(task, COUNT)), false);
    else if (!this.isTask(actor)) looked.add(this.#registersOf(task) + 1, false);
    else if (this.#next(task) !== undefined) {
      looked.add(this.#registersOf(task), true); // as each of its moves does
      this.#isReady(task, looked);
    }
    return looked;
  }

  always(): string | undefined {
    for (let task = 0; task < this.#tasks; task++) {
      const failed = this.#get(task, FAILED);
      if (failed > 0) return `task${task}: the assertion at ${failed - 1} fails`;
    }
    const { forbidden } = this.program;
    if (forbidden === undefined || !this.#holds(forbidden)) return undefined;
    return 'the forbidden condition holds';
  }

  atEnd(): string | undefined {
    const { final, mayDeadlock, tasks } = this.program;
    const waiting = tasks.flatMap((_, task) => {
      const code = this.#next(task);
      return code === undefined ? [] : [`task${task} at ${labelOf(code)}`];
    });
    if (waiting.length > 0 && !mayDeadlock) return `deadlock: ${waiting.join(' and ')}`;
    if (final !== undefined && !this.#holds(final)) return 'the final condition does not hold';
    return undefined;
  }

  seen(): number {
    return this.#bits(this.program.sometimes ?? []);
  }

  fulfilled(): number {
    return this.#bits(this.program.eventually ?? []);
  }

  describe(move: Move): string {
    const actor = actorOf(move);
    const task = this.taskOf(actor);
    if (this.isTask(actor)) return `task${task} ${labelOf(this.#next(task)!)}${pickOf(move)}`;
    return this.#isBuffer(actor) ? `task${task} oldest store leaves` : `task${task} interrupt`;
  }

  nameOf(move: Move): string {
    const actor = actorOf(move);
    const label = this.#labelAt(actor, this.#get(this.taskOf(actor), PC));
    let times = 0;
    for (let i = 0; i < this.#taken.length; i += 2) {
      if (this.#taken[i] !== actor) continue;
      if (this.#labelAt(actor, this.#taken[i + 1]!) === label) times++;
    }
    return `task${this.taskOf(actor)}:${label}#${times}${pickOf(move)}`;
  }

  #labelAt(actor: number, pc: number): string {
    if (this.isTask(actor)) return labelOf(this.program.tasks[actor]![pc]!);
    return this.#isBuffer(actor) ? 'drain' : 'interrupt';
  }

  #isBuffer(actor: number): boolean {
    return this.#capacity > 0 && actor >= this.#tasks && actor < 2 * this.#tasks;
  }

  #isPossible(actor: number): boolean {
    const task = this.taskOf(actor);
    if (this.isTask(actor)) return this.#next(task) !== undefined && this.#isReady(task, undefined);
    return this.#get(task, this.#isBuffer(actor) ? COUNT : IRQ) > 0;
  }

  #next(task: number): Instruction | undefined {
    return this.program.tasks[task]![this.#get(task, PC)];
  }

  #holds(condition: Condition): boolean {
    return condition.every(({ word, equals }) => this.#state[word] === equals);
  }

  #bits(conditions: readonly Condition[]): number {
    return conditions.reduce((bits, one, i) => (this.#holds(one) ? bits | (1 << i) : bits), 0);
  }

  /** Whether the task's instruction is possible; names the words that this depends on. */
  #isReady(task: number, touched: Touched | undefined): boolean {
    const code = this.#next(task)!;
    switch (code.op) {
      case 'store':
        if (this.#capacity === 0) return true;
        touched?.add(this.#slotOf(task, 0), false);
        return this.#get(task, COUNT) < this.#capacity;
      case 'acquire':
        if (!this.#isDrained(task, touched)) return false;
        touched?.add(code.word, false);
        return this.#state[code.word] === 0;
      case 'cas':
      case 'add':
      case 'fence':
        return this.#isDrained(task, touched);
      case 'wait':
        return code.until.every(({ word, equals }) => this.#load(task, word, touched) === equals);
      case 'halt':
        touched?.add(this.#registersOf(task), false);
        return this.#get(task, REGS + IRQ_REGISTER) >= code.arrived;
      default:
        return true;
    }
  }

  #alternatives(task: number): number {
    const code = this.#next(task)!;
    if (code.op === 'choose') return code.among;
    if (code.op !== 'any') return 1;
    const most = code.words.length;
    if (code.limit === undefined) return most;
    return Math.min(most, Math.max(1, this.#load(task, code.limit, undefined)));
  }

  /** Stores leave in order: none is left if the youngest has left. */
  #isDrained(task: number, touched: Touched | undefined): boolean {
    if (this.#capacity === 0) return true;
    touched?.add(this.#slotOf(task, -1), false);
    return this.#get(task, COUNT) === 0;
  }

  #perform(task: number, code: Instruction, alternative: number): void {
    switch (code.op) {
      case 'load': {
        const by = code.index === undefined ? 0 : this.#get(task, REGS + code.index);
        const word = (code.word + Math.abs(by)) % this.program.words.length;
        this.#set(task, REGS + code.into, this.#load(task, word, this.#touched));
        break;
      }
      case 'pick': {
        const first = this.#load(task, code.first, this.#touched);
        const value = first === 0 ? this.#load(task, code.second, this.#touched) : first;
        this.#set(task, REGS + code.into, value);
        break;
      }
      case 'any': {
        if (code.limit !== undefined) this.#load(task, code.limit, this.#touched);
        this.#set(
          task,
          REGS + code.into,
          this.#load(task, code.words[alternative]!, this.#touched),
        );
        break;
      }
      case 'store':
        this.#store(task, code.word, this.#value(task, code.from));
        break;
      case 'cas': {
        const won = this.#state[code.word] === this.#value(task, code.expected);
        this.#touched.add(code.word, won);
        if (won) this.#change(code.word, this.#value(task, code.to));
        this.#set(task, REGS + code.into, won ? 1 : 0);
        break;
      }
      case 'add': {
        const old = this.#state[code.word]!;
        this.#touched.add(code.word, true);
        this.#change(code.word, old + this.#value(task, code.by));
        this.#set(task, REGS + code.into, old);
        break;
      }
      case 'acquire':
        this.#touched.add(code.word, true);
        this.#change(code.word, 1);
        break;
      case 'raise':
        this.#touched.add(this.#registersOf(code.task) + 1, true);
        this.#set(code.task, IRQ, 1);
        break;
      case 'choose':
        this.#set(task, REGS + code.into, alternative);
        break;
    }
  }

  /** Performs instructions that are no moves. */
  #settle(task: number): void {
    for (let patience = 1000; ; patience--) {
      if (patience === 0) defect('Toy.settle', `task${task} does nothing but compute`);
      const code = this.#next(task);
      const pc = this.#get(task, PC);
      if (code?.op === 'compute') {
        const sum = this.#value(task, code.from) + this.#value(task, code.plus);
        this.#set(task, REGS + code.into, sum);
        this.#set(task, PC, pc + 1);
      } else if (code?.op === 'branch') {
        const goes = this.#get(task, REGS + code.register) === code.equals;
        this.#set(task, PC, goes ? pc + code.by : pc + 1);
      } else if (code?.op === 'assert') {
        if (this.#get(task, REGS + code.register) === code.differs) this.#set(task, FAILED, pc + 1);
        this.#set(task, PC, pc + 1);
      } else {
        return;
      }
    }
  }

  #store(task: number, word: number, value: number): void {
    if (this.#capacity === 0) {
      this.#touched.add(word, true);
      this.#change(word, value);
      return;
    }
    const count = this.#get(task, COUNT);
    this.#touched.add(this.#slotOf(task, 0), true);
    this.#touched.add(this.#newestOf(task, word), true);
    this.#set(task, SLOTS + 2 * count, word);
    this.#set(task, SLOTS + 2 * count + 1, value);
    this.#set(task, COUNT, count + 1);
    this.#change(this.#hashed + task, this.#state[this.#hashed + task]! + 1);
  }

  /** What the task sees in a word: its own newest buffered store to it, or memory. */
  #load(task: number, word: number, touched: Touched | undefined): number {
    if (this.#capacity > 0) touched?.add(this.#newestOf(task, word), false);
    for (let i = this.#get(task, COUNT) - 1; i >= 0; i--) {
      if (this.#get(task, SLOTS + 2 * i) === word) return this.#get(task, SLOTS + 2 * i + 1);
    }
    touched?.add(word, false);
    return this.#state[word]!;
  }

  /** The oldest store leaves for memory; the others move up, so that equal buffers are equal. */
  #drain(task: number): void {
    const count = this.#get(task, COUNT);
    const word = this.#get(task, SLOTS);
    let isNewest = true;
    for (let i = 1; i < count; i++) if (this.#get(task, SLOTS + 2 * i) === word) isNewest = false;
    this.#touched.add(this.#slotOf(task, -count), true);
    this.#touched.add(this.#newestOf(task, word), isNewest);
    this.#touched.add(word, true);
    this.#change(word, this.#get(task, SLOTS + 1));
    for (let i = 0; i < 2 * this.#capacity; i++) {
      this.#set(task, SLOTS + i, i < 2 * count - 2 ? this.#get(task, SLOTS + i + 2) : 0);
    }
    this.#set(task, COUNT, count - 1);
  }

  #deliver(task: number): void {
    this.#touched.add(this.#registersOf(task), true);
    this.#touched.add(this.#registersOf(task) + 1, true);
    this.#set(task, IRQ, 0);
    this.#set(task, REGS + IRQ_REGISTER, this.#get(task, REGS + IRQ_REGISTER) + 1);
  }

  // Numbers past the program's words, per task: registers, pending interrupt, slots of the buffer,
  // and for each word whether (and by which store) the task's loads are served from the buffer.
  #registersOf(task: number): number {
    const { length } = this.program.words;
    return length + task * (2 + this.#capacity + length);
  }

  /** The slot `ahead` of the one that the next store goes to; slots are used in turns. */
  #slotOf(task: number, ahead: number): number {
    const turn = this.#state[this.#hashed + task]! + ahead + this.#capacity;
    return this.#registersOf(task) + 2 + (turn % this.#capacity);
  }

  #newestOf(task: number, word: number): number {
    return this.#registersOf(task) + 2 + this.#capacity + word;
  }

  #value(task: number, operand: Operand): number {
    return typeof operand === 'number' ? operand : this.#get(task, REGS + operand.reg);
  }

  #get(task: number, field: number): number {
    return this.#state[this.program.words.length + task * this.#stride + field]!;
  }

  #set(task: number, field: number, value: number): void {
    this.#change(this.program.words.length + task * this.#stride + field, value);
  }

  #change(at: number, value: number): void {
    this.#log.push(at, this.#state[at]!);
    this.#write(at, value);
  }

  /** Each word of the state contributes to the lanes on its own (Zobrist, 1970). */
  #write(at: number, value: number): void {
    const old = this.#state[at]!;
    this.#state[at] = value;
    if (at >= this.#hashed) return;
    this.hashLow ^= mixed(at, old, 0x2545f491) ^ mixed(at, value, 0x2545f491);
    this.hashHigh ^= mixed(at, old, 0x5851f42d) ^ mixed(at, value, 0x5851f42d);
  }
}

function mixed(at: number, value: number, salt: number): number {
  let z = Math.imul(at + 1, 0x9e3779b1) ^ Math.imul(value + salt, 0x85ebca6b) ^ salt;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97) + Math.imul(value, salt);
  z = Math.imul(z ^ (z >>> 15), 0x2c1b3c6d);
  return z ^ (z >>> 16);
}

function pickOf(move: Move): string {
  return alternativeOf(move) > 0 ? `=${alternativeOf(move)}` : '';
}
