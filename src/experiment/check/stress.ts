/**
 * A stress run: a design's operations as a litmus program names them, on real worker threads over
 * shared memory, one thread per CPU, in rounds that begin with a new system. What is promised of
 * systems at rest is asked after every round; meanwhile, whether a guest's CPU could use a page
 * that was taken away, and whether frames that are free stay untouched.
 *
 * It shows presence, never absence: what it finds is real, what it does not find may be there.
 *
 * Leaves out: promises about every state (nobody sees all words at one moment), guest hypervisors,
 * weakened locks.
 */
import { Defect } from '../../base/assert.ts';
import { Random } from '../../base/random.ts';
import type { Litmus } from '../../litmus/litmus.ts';
import { VECTOR_CALL, VECTOR_KICK } from '../../machine/instruction.ts';
import { SharedCpu, type SharedWeakening } from '../../machine/shared/cpu.ts';
import { FRAME_HALVES } from '../../runtime/hart.ts';
import { Control } from '../../schedule/threads/control.ts';
import { runCrew } from '../../schedule/threads/crew.ts';
import { drive } from '../../schedule/threads/drive.ts';
import { AtomicWords } from '../../schedule/threads/words.ts';
import { FRAMES, StressWorld } from './stress-world.ts';

export interface StressOptions {
  /** A built-in design with its axes. */
  readonly design: string;
  readonly litmus: Litmus;
  readonly rounds: number;
  /** How often a round repeats the programs of the host; guests go on as long as these do. */
  readonly turns: number;
  readonly seed: number;
  readonly weaken?: readonly (readonly [label: string, how: SharedWeakening])[];
  /** After which all is given up; 30 000 unless given. */
  readonly milliseconds?: number;
}

export interface StressReport {
  /** `stuck`: the threads did not come to rest in time. */
  readonly verdict: 'holds' | 'violated' | 'stuck';
  /** `<promise>: <sentence>`; where threads were stuck; '' if all holds. */
  readonly message: string;
  /** Rounds that came to their end. */
  readonly rounds: number;
  readonly acts: number;
  readonly interrupts: number;
  /** How often a frame was put on a free list. */
  readonly freed: number;
}

/** What a thread is told. */
export interface StressTask extends StressOptions {
  readonly thread: number;
  readonly memory: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** By frame: 1 if it is free and poisoned. */
  readonly poisoned: SharedArrayBuffer;
}

/** What a thread tells. */
export type StressAnswer = Omit<StressReport, 'verdict'> & { readonly stuckAt: string };

const VECTORS = [VECTOR_CALL, VECTOR_KICK];
const MILLISECONDS = 30_000;
/** Where a vCPU's thread may stay: at the top of its loop. */
const REST = new Set(['run.requests']);
/** Turns of an empty loop: by how many threads begin a round apart, and let pass before a turn. */
const APART = 20_000;
const PAUSE = 100_000;

/** `code`: a bundle of stress-worker.ts. */
export async function stress(options: StressOptions, code: string): Promise<StressReport> {
  const threads = options.litmus.guests.length + options.litmus.hosts.length;
  const control = new SharedArrayBuffer(Control.words(threads) * 4);
  const shared = {
    memory: new SharedArrayBuffer(FRAMES * FRAME_HALVES * 4),
    control,
    poisoned: new SharedArrayBuffer(FRAMES * 4),
  };
  const tasks = Array.from(
    { length: threads },
    (_, thread): StressTask => ({ ...options, ...shared, thread }),
  );
  const answers = await runCrew<StressAnswer>({
    code,
    tasks,
    milliseconds: options.milliseconds ?? MILLISECONDS,
    abort: () => new Control(new Int32Array(control), threads, VECTORS).abort(),
  });
  return reportOf(answers, options.rounds);
}

function reportOf(answers: readonly (StressAnswer | undefined)[], wanted: number): StressReport {
  const told = answers.filter((answer) => answer !== undefined);
  const sum = (of: (answer: StressAnswer) => number): number =>
    told.reduce((all, answer) => all + of(answer), 0);
  const broken = told.find(({ message }) => message !== '')?.message ?? '';
  const stuck = answers.flatMap((answer, cpu) => {
    if (answer === undefined) return [`cpu${cpu} never answered`];
    return answer.stuckAt === '' ? [] : [`cpu${cpu} at ${answer.stuckAt}`];
  });
  const rounds = Math.min(wanted, ...told.map((answer) => answer.rounds));
  if (stuck.length === 0 && rounds < wanted) stuck.push('time was over between two rounds');
  return {
    verdict: broken !== '' ? 'violated' : stuck.length > 0 ? 'stuck' : 'holds',
    message: broken !== '' ? broken : stuck.join(', '),
    rounds,
    acts: sum(({ acts }) => acts),
    interrupts: sum(({ interrupts }) => interrupts),
    freed: sum(({ freed }) => freed),
  };
}

/** What one thread does. */
export function stressThread(task: StressTask): StressAnswer {
  return new StressThread(task).run();
}

class StressThread {
  readonly #task: StressTask;
  readonly #control: Control;
  readonly #words: AtomicWords;
  readonly #poisoned: Int32Array;
  readonly #scratch = new Int32Array(FRAMES * FRAME_HALVES);
  readonly #random: Random;
  #message = '';
  #stuckAt = '';
  #rounds = 0;
  #acts = 0;
  #interrupts = 0;
  #freed = 0;

  constructor(task: StressTask) {
    const { guests, hosts } = task.litmus;
    this.#task = task;
    this.#control = new Control(
      new Int32Array(task.control),
      guests.length + hosts.length,
      VECTORS,
    );
    this.#words = new AtomicWords(task.memory);
    this.#poisoned = new Int32Array(task.poisoned);
    this.#random = new Random(task.seed, task.thread);
  }

  run(): StressAnswer {
    try {
      while (this.#rounds < this.#task.rounds && this.#round()) this.#rounds++;
    } catch (error) {
      // An assertion in the code of a design, reached on these threads: a broken promise.
      if (!(error instanceof Defect)) throw error;
      this.#say(`code.assertion: the code stops: ${error.message}`);
    }
    return {
      message: this.#message,
      stuckAt: this.#stuckAt,
      rounds: this.#rounds,
      acts: this.#acts,
      interrupts: this.#interrupts,
      freed: this.#freed,
    };
  }

  /** False if all is given up. */
  #round(): boolean {
    const { thread, litmus } = this.#task;
    const control = this.#control;
    const world = this.#build();
    if (!control.barrier()) return false; // all have left the round before
    if (thread === 0) {
      this.#words.halves.set(world.words);
      this.#poisoned.fill(0);
      control.begin(litmus.hosts.length);
    }
    world.share(this.#words, this.#poisoned);
    const cpu = this.#cpuOf(world);
    if (!control.barrier()) return false;
    idle(this.#random.below(APART));
    const isWorker = thread >= litmus.guests.length;
    const { interrupts, stuckAt } = drive(cpu, thread, isWorker, control);
    this.#acts += cpu.acts;
    this.#interrupts += interrupts;
    this.#freed += world.freed;
    this.#stuckAt = stuckAt;
    if (!control.barrier()) return false;
    if (thread === 0) world.judgeRest(this.#poisoned);
    return true;
  }

  #build(): StressWorld {
    this.#scratch.fill(0);
    const { design, litmus, turns } = this.#task;
    const isWorkDone = (): boolean => this.#control.isWorkDone;
    const pause = (): void => idle(this.#random.below(PAUSE));
    const broken = (message: string): void => this.#say(message);
    return new StressWorld({ design, litmus, turns, isWorkDone, pause, broken }, this.#scratch);
  }

  #cpuOf(world: StressWorld): SharedCpu {
    const { thread, weaken = [] } = this.#task;
    return new SharedCpu(world.machine, thread, {
      words: this.#words,
      send: (cpu, vector) => this.#control.send(cpu, vector),
      weaken: new Map(weaken),
      restAt: REST,
      beforeUse: (space, ...use) => world.judgeUse(thread, space, ...use),
      beforeZero: (frame) => world.leavePool(frame, this.#poisoned),
    });
  }

  #say(message: string): void {
    if (this.#message === '') this.#message = message;
    this.#control.abort();
  }
}

function idle(turns: number): void {
  for (let i = 0; i < turns; i++);
}
