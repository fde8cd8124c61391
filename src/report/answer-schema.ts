/** The schema of "kpop.answer/1". */
import { z } from 'zod';
import type { Answer } from '../measure/answer.ts';
import type { Compare } from '../measure/result.ts';
import { resultSchema } from './check-schema.ts';

const texts = z.array(z.string());

const turningPrice = z.looseObject({
  name: z.string(),
  unit: z.string(),
  value: z.number(),
  low: z.number(),
  high: z.number(),
  kind: z.string(),
  source: z.string(),
  evidence: z.string().describe('name of the comparison'),
  vcpus: z.int().positive(),
  one: z.string(),
  other: z.string(),
  at: z.number().describe('value at which their order is another'),
  together: texts.describe('prices that have to move with it'),
});

/** `compare`: the schema of "kpop.compare/1". */
export function answerSchemaOf(compare: z.ZodType<Compare>): z.ZodType<Answer> {
  return z.looseObject({
    schema: z.literal('kpop.answer/1'),
    experiment: z.string().describe('T1-1 to T5-12'),
    name: z.string(),
    question: z.string(),
    quick: z.boolean().describe('smaller sizes, the same designs'),
    decided: z.boolean().describe('all findings are'),
    answer: z.string().describe('one sentence; each figure is from the evidence'),
    findings: z.array(z.looseObject({ says: z.string(), decided: z.boolean(), rests: texts })),
    evidence: z.array(
      z.discriminatedUnion('kind', [
        z.looseObject({
          kind: z.literal('compare'),
          name: z.string(),
          command: z.string(),
          compare,
        }),
        z.looseObject({
          kind: z.literal('check'),
          name: z.string(),
          command: z.string(),
          result: resultSchema,
        }),
      ]),
    ),
    sensitivity: z.array(turningPrice).describe('prices whose interval turns an order round'),
    limits: texts,
  });
}
