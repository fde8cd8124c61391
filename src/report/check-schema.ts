/** The schemas of "kpop.check/1" and "kpop.replay/1". */
import { z } from 'zod';
import type { Check, CheckResult, GuardResult, Replay } from '../measure/check.ts';

const whole = z.int().nonnegative();
const texts = z.array(z.string());
const memory = z.enum(['sc', 'tso']);

const moves = z
  .array(
    z.looseObject({
      cpu: whole.describe('CPU whose code or hardware moved'),
      name: z.string().describe('stable name, as schedules hold it'),
      says: z.string(),
      changes: texts.describe('what is different afterwards'),
    }),
  )
  .describe('the counterexample move by move');

export const resultSchema: z.ZodType<CheckResult> = z.looseObject({
  design: z.string(),
  litmus: z.string(),
  guard: z.string().describe('the weakened label; empty if the design ran as it is'),
  how: z.string().describe('how it was weakened'),
  memory,
  verdict: z.enum(['holds', 'violated', 'unfinished']),
  expected: z.enum(['holds', 'violated']),
  asExpected: z.boolean(),
  promise: z.string().describe('the broken promise; empty if none is'),
  promised: z.string().describe('what it says, in one sentence'),
  message: z.string().describe('what disagrees; for what is not as expected, why'),
  executions: whole,
  states: whole.describe('distinct states of the largest single search'),
  steps: whole.describe('moves taken'),
  exhausted: z.boolean().describe('all interleavings were looked at'),
  preemptions: z
    .int()
    .min(-1)
    .nullable()
    .describe('all with so many were looked at; -1: not even those without; null: no bound'),
  hashBits: whole.describe('bits by which states were told apart'),
  collision: z.number().nonnegative().describe('bound on the probability of taking two for one'),
  entries: whole.describe('entries after which a vCPU was held'),
  secondsWall: z.number().nonnegative(),
  schedule: z.string().describe('replays the counterexample; empty without one'),
  length: whole.describe('moves of the counterexample'),
  minimal: z.string().describe('whether it is minimal, in a sentence'),
  interleaving: moves,
  limits: texts.describe('what was and was not looked at'),
  cached: z.boolean().describe('looked up: nothing that it depends on has changed'),
});

const guard: z.ZodType<GuardResult> = z.looseObject({
  design: z.string(),
  label: z.string(),
  verdict: z.enum(['necessary', 'not shown', 'unfinished', 'not reached']),
  argued: z.string().describe('why it may stay although no counterexample was found'),
  result: resultSchema.nullable().describe('the counterexample; else how far the last look went'),
  tried: texts.describe('weakenings that were tried: how, litmus, memory order'),
});

export const checkSchema: z.ZodType<Check> = z.looseObject({
  schema: z.literal('kpop.check/1'),
  results: z.array(resultSchema),
  guards: z.array(guard).describe('with --guards: every label that guards something'),
  ended: z.enum(['complete', 'budget', 'interrupted']),
});

export const replaySchema: z.ZodType<Replay> = z.looseObject({
  schema: z.literal('kpop.replay/1'),
  design: z.string(),
  litmus: z.string(),
  memory,
  guard: z.string(),
  how: z.string(),
  loop: z.int().min(-1).describe('number of the move from which on it repeats; -1: it does not'),
  interleaving: moves,
  promise: z.string().describe('the promise that the last move broke; empty if none is'),
  promised: z.string(),
  message: z.string(),
  parting: z.string().describe('where the code left the schedule; empty if it did not'),
  remark: z.string(),
});
