/**
 * The step idiom by figures: one simulated fault of 48 acts on words of a typed array, written in
 * six ways that do the same work, at three depths of delegation. Each variant runs in the same
 * process; the plain functions are the limit.
 *
 * Leaves out: choosing among processors, prices, traces: only the hand-over of an act is compared.
 */
import { type Act, num, Op, type Routine, type Word } from '../src/runtime/act.ts';
import { Context, type Frame, type PlainMemory } from '../src/runtime/context.ts';

export interface BenchResult {
  readonly name: string;
  readonly perSecond: number;
  readonly unit: string;
}

const ACTS = 48;
const DEPTHS = [1, 3, 5];
const FAULTS = 20_000;
const ROUNDS = 3;
const WORDS = 1 << 10;

const NO_MEMORY: PlainMemory = {
  read: () => 0,
  write: () => undefined,
  readRun: () => undefined,
  writeRun: () => undefined,
  peek: () => 0,
  spend: () => undefined,
  note: () => undefined,
  tracepoint: () => undefined,
};

/** Words, and what performs an act on them. */
class Bank {
  readonly words = new Int32Array(WORDS * 2);

  perform(act: Act, word: Word): void {
    const at = act.at << 1;
    word.lo = this.words[at]!;
    word.hi = this.words[at + 1]!;
    if (act.op === Op.store) {
      this.words[at] = act.lo;
      this.words[at + 1] = act.hi;
    }
  }

  load(at: number): number {
    return this.words[at << 1]!;
  }

  store(at: number, value: number): void {
    this.words[at << 1] = value;
  }
}

/** Where the i-th pair of acts of a fault goes. */
function place(seed: number, i: number): number {
  return (seed * 7 + i * 13) & (WORDS - 1);
}

// --- (i) our idiom: the frame's act, one yield per act ------------------------------------------

function* ours(cpu: Context, seed: number, depth: number): Routine<number> {
  if (depth > 1) return yield* ours(cpu, seed, depth - 1);
  let sum = 0;
  for (let i = 0; i < ACTS / 2; i++) {
    const at = place(seed, i);
    const seen = num(yield cpu.load(at, 'bench.load'));
    sum = (sum + seen) | 0;
    yield cpu.store(at, (seen + i) & 0xffff, 'bench.store');
  }
  return sum;
}

// --- (ii) a helper generator per act -------------------------------------------------------------

function* loadStep(cpu: Context, at: number): Routine<number> {
  return num(yield cpu.load(at, 'bench.load'));
}

function* storeStep(cpu: Context, at: number, value: number): Routine<void> {
  yield cpu.store(at, value, 'bench.store');
}

function* helpers(cpu: Context, seed: number, depth: number): Routine<number> {
  if (depth > 1) return yield* helpers(cpu, seed, depth - 1);
  let sum = 0;
  for (let i = 0; i < ACTS / 2; i++) {
    const at = place(seed, i);
    const seen = yield* loadStep(cpu, at);
    sum = (sum + seen) | 0;
    yield* storeStep(cpu, at, (seen + i) & 0xffff);
  }
  return sum;
}

// --- (iii) a fresh act object per act ------------------------------------------------------------

function fresh(op: number, at: number, value: number, label: string): Act {
  return {
    op,
    at,
    lo: value | 0,
    hi: 0,
    seenLo: 0,
    seenHi: 0,
    label,
    order: 'full',
    ready: undefined,
    watch: NOTHING,
    operand: undefined,
    isPerformed: false,
    goesOn: false,
    word: { lo: 0, hi: 0, ok: true },
  };
}

const NOTHING: readonly number[] = [];

function* freshActs(cpu: Context, seed: number, depth: number): Routine<number> {
  if (depth > 1) return yield* freshActs(cpu, seed, depth - 1);
  let sum = 0;
  for (let i = 0; i < ACTS / 2; i++) {
    const at = place(seed, i);
    const seen = num(yield fresh(Op.load, at, 0, 'bench.load'));
    sum = (sum + seen) | 0;
    yield fresh(Op.store, at, (seen + i) & 0xffff, 'bench.store');
  }
  return sum;
}

function driveFrame(bank: Bank, cpu: Context, frame: Frame): number {
  for (;;) {
    const step = frame.routine.next(frame.word);
    if (step.done === true) {
      cpu.pop();
      return step.value as number;
    }
    bank.perform(step.value, frame.word);
  }
}

type Written = (cpu: Context, seed: number, depth: number) => Routine<number>;

function generators(write: Written, bank: Bank, cpu: Context, depth: number): number {
  let sum = 0;
  for (let seed = 0; seed < FAULTS; seed++) {
    cpu.push(write(cpu, seed, depth));
    sum = (sum + driveFrame(bank, cpu, cpu.top)) | 0;
  }
  return sum;
}

// --- (iv) a stack of generators held by the scheduler --------------------------------------------

/** What a stacked generator is resumed with: a word, or the result of the generator above it. */
type Answer = { lo: number } | number;
type Stacked = Generator<unknown, number, Answer>;

function seenBy(answer: Answer): number {
  return typeof answer === 'number' ? answer : answer.lo;
}

function* stacked(cpu: Context, seed: number, depth: number): Stacked {
  if (depth > 1) return seenBy(yield stacked(cpu, seed, depth - 1));
  let sum = 0;
  for (let i = 0; i < ACTS / 2; i++) {
    const at = place(seed, i);
    const seen = seenBy(yield cpu.load(at, 'bench.load'));
    sum = (sum + seen) | 0;
    yield cpu.store(at, (seen + i) & 0xffff, 'bench.store');
  }
  return sum;
}

function driveStack(bank: Bank, cpu: Context, depth: number): number {
  const word = { lo: 0, hi: 0, ok: true };
  const stack: Stacked[] = [];
  let sum = 0;
  for (let seed = 0; seed < FAULTS; seed++) {
    stack.push(stacked(cpu, seed, depth));
    let answer: Answer = word;
    while (stack.length > 0) {
      const step = stack[stack.length - 1]!.next(answer);
      if (step.done === true) {
        stack.pop();
        answer = step.value;
      } else if ('op' in (step.value as object)) {
        bank.perform(step.value as Act, word);
        answer = word;
      } else {
        stack.push(step.value as Stacked);
      }
    }
    sum = (sum + seenBy(answer)) | 0;
  }
  return sum;
}

// --- (v) async functions, resumed by the microtask queue -----------------------------------------

async function asynchronous(
  bank: Bank,
  cpu: Context,
  word: Word,
  seed: number,
  depth: number,
): Promise<number> {
  if (depth > 1) return await asynchronous(bank, cpu, word, seed, depth - 1);
  let sum = 0;
  for (let i = 0; i < ACTS / 2; i++) {
    const at = place(seed, i);
    bank.perform(cpu.load(at, 'bench.load'), word);
    const seen = num(await word);
    sum = (sum + seen) | 0;
    bank.perform(cpu.store(at, (seen + i) & 0xffff, 'bench.store'), word);
    await word;
  }
  return sum;
}

async function driveAsync(bank: Bank, cpu: Context, depth: number): Promise<number> {
  const word = { lo: 0, hi: 0, ok: true };
  let sum = 0;
  for (let seed = 0; seed < FAULTS; seed++) {
    sum = (sum + (await asynchronous(bank, cpu, word, seed, depth))) | 0;
  }
  return sum;
}

// --- (vi) plain functions: no scheduler can hold them --------------------------------------------

function plainly(bank: Bank, seed: number, depth: number): number {
  if (depth > 1) return plainly(bank, seed, depth - 1);
  let sum = 0;
  for (let i = 0; i < ACTS / 2; i++) {
    const at = place(seed, i);
    const seen = bank.load(at);
    sum = (sum + seen) | 0;
    bank.store(at, (seen + i) & 0xffff);
  }
  return sum;
}

function drivePlain(bank: Bank, depth: number): number {
  let sum = 0;
  for (let seed = 0; seed < FAULTS; seed++) sum = (sum + plainly(bank, seed, depth)) | 0;
  return sum;
}

interface Variant {
  readonly name: string;
  run(bank: Bank, cpu: Context, depth: number): number | Promise<number>;
}

const VARIANTS: readonly Variant[] = [
  { name: 'yield of the frame’s act', run: (bank, cpu, d) => generators(ours, bank, cpu, d) },
  { name: 'helper generator per act', run: (bank, cpu, d) => generators(helpers, bank, cpu, d) },
  { name: 'fresh act objects', run: (bank, cpu, d) => generators(freshActs, bank, cpu, d) },
  { name: 'stack held by the scheduler', run: driveStack },
  { name: 'async functions', run: driveAsync },
  { name: 'plain functions (limit)', run: (bank, _cpu, d) => drivePlain(bank, d) },
];

/** Best of some rounds of one variant, after a first one to warm up; and what it computed. */
async function measure(variant: Variant, depth: number): Promise<{ sum: number; rate: number }> {
  let best = 0;
  let sum = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    const cpu = new Context(0, 'bench', NO_MEMORY);
    cpu.push(ours(cpu, 0, 1)); // gives the context an act of its own
    const bank = new Bank();
    const begin = performance.now();
    sum = await variant.run(bank, cpu, depth);
    const seconds = (performance.now() - begin) / 1000;
    if (round > 0) best = Math.max(best, (FAULTS * ACTS) / seconds);
  }
  return { sum, rate: best };
}

export async function benchIdiom(): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const depth of DEPTHS) {
    let expected: number | undefined;
    for (const variant of VARIANTS) {
      const { sum, rate } = await measure(variant, depth);
      expected ??= sum;
      if (sum !== expected) throw new Error(`${variant.name} computed ${sum}, not ${expected}`);
      results.push({
        name: `idiom: ${variant.name}, depth ${depth}`,
        perSecond: rate,
        unit: 'acts',
      });
    }
  }
  return results;
}
