/**
 * The programs that toy.ts runs: instructions of each task, initial words, and what is promised.
 *
 * Instructions that touch registers only (compute, branch, assert) are no moves: they follow at
 * once on the move before them.
 */
export const REGISTERS = 4;
/** The register that an interrupt adds 1 to. */
export const IRQ_REGISTER = 3;

export interface Register {
  readonly reg: number;
}

/** A number, or what a register holds. */
export type Operand = number | Register;

/** All of these words hold these values; they are looked at in order, until one does not. */
export type Condition = readonly { readonly word: number; readonly equals: number }[];

/** `label` is `op word` unless given. */
export type Instruction = { readonly label?: string } & (
  | { readonly op: 'load'; readonly word: number; readonly into: number; readonly index?: number }
  | { readonly op: 'store'; readonly word: number; readonly from: Operand }
  /** Locked; `into` becomes 1 if the word held `expected` and was set, else 0. */
  | {
      readonly op: 'cas';
      readonly word: number;
      readonly expected: Operand;
      readonly to: Operand;
      readonly into: number;
    }
  /** Locked; `into` becomes the old value. */
  | { readonly op: 'add'; readonly word: number; readonly by: Operand; readonly into: number }
  /** Reads the first word, and the second in the same move if the first holds 0. */
  | {
      readonly op: 'pick';
      readonly first: number;
      readonly second: number;
      readonly into: number;
    }
  /**
   * Reads one of these words, any of them; with `limit`, only as many as that word says, but the
   * first in any case.
   */
  | {
      readonly op: 'any';
      readonly words: readonly number[];
      readonly limit?: number;
      readonly into: number;
    }
  /** Not possible unless the condition holds. */
  | { readonly op: 'wait'; readonly until: Condition }
  /** Locked; not possible unless the word holds 0, sets it to 1. */
  | { readonly op: 'acquire'; readonly word: number }
  /** Not possible before so many interrupts have arrived. */
  | { readonly op: 'halt'; readonly arrived: number }
  | { readonly op: 'fence' }
  /** Sends an interrupt to a task; one that is pending stays one. */
  | { readonly op: 'raise'; readonly task: number }
  | { readonly op: 'choose'; readonly among: number; readonly into: number }
  | {
      readonly op: 'compute';
      readonly into: number;
      readonly from: Operand;
      readonly plus: Operand;
    }
  /** Goes on `by` instructions further on (or back) if the register holds `equals`. */
  | {
      readonly op: 'branch';
      readonly register: number;
      readonly equals: number;
      readonly by: number;
    }
  | { readonly op: 'assert'; readonly register: number; readonly differs: number }
);

export interface Program {
  readonly name: string;
  /** Initial values. */
  readonly words: readonly number[];
  readonly tasks: readonly (readonly Instruction[])[];
  readonly order: 'sc' | 'tso';
  /** Stores that a buffer holds; 2 unless given. */
  readonly capacity?: number;
  /** Never to hold. */
  readonly forbidden?: Condition;
  /** To hold at the end. */
  readonly final?: Condition;
  /** Who waits for ever breaks no promise. */
  readonly mayDeadlock?: boolean;
  readonly sometimes?: readonly Condition[];
  readonly eventually?: readonly Condition[];
}

/** Names an instruction in schedules. */
export function labelOf(code: Instruction): string {
  if (code.label !== undefined) return code.label;
  if ('word' in code) return `${code.op} ${code.word}`;
  return code.op === 'wait' ? `wait ${code.until.map(({ word }) => word).join(',')}` : code.op;
}
