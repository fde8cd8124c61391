/**
 * The schemas of what kpop prints as JSON, published as JSON Schema in schema/ (`npm run schema`).
 * Unknown fields are let through, so that a result with more in it still prints.
 */
import { z } from 'zod';
import type { Compare, List, Run } from '../measure/result.ts';
import { answerSchemaOf } from './answer-schema.ts';
import { checkSchema, replaySchema } from './check-schema.ts';

const count = z.number().nonnegative();
const whole = z.int().nonnegative();
const texts = z.array(z.string());

const counts = z.looseObject({
  exits: whole.describe('entries into L0 from any guest level'),
  nested: whole.describe('exits delivered to a level above L0'),
  hypercalls: whole.describe('hypercalls, a subset of the exits'),
  userspace: whole.describe('returns of a hypervisor to its user space'),
  ipis: whole.describe('inter-processor interrupts sent'),
  flushes: whole.describe('invalidations executed by a CPU'),
  pagesZeroed: whole,
  pagesCopied: whole,
  copyBytes: whole,
});

const switches = z.looseObject({
  hvc: whole.describe('pKVM host to EL2 and back, light'),
  gexit: whole.describe('guest to hypervisor to host with full register and root change'),
  vmx: whole.describe('exit into L0 and resume on x86'),
  nest: whole.describe('exit that reached a level above L0; its own exits are in vmx as well'),
  uexit: whole.describe('in-kernel hypervisor to its user space and back'),
  seam: whole.describe('SEAMCALL into the TDX module and back'),
  tdexit: whole.describe('TD guest to TDX module to host'),
  tlbi: whole.describe('Arm broadcast invalidation with its barrier'),
  iotlb: whole.describe('queued IOMMU invalidation and its wait'),
  devtlb: whole.describe('device cache invalidation round trip'),
});

const exit = z.looseObject({
  reason: z.string(),
  level: whole.describe('level that the exit came from'),
  count: whole,
  cycles: count.describe('from the exit to the next entry on its CPU'),
});

const lock = z.looseObject({
  name: z.string(),
  acquisitions: whole,
  contended: whole.describe('acquisitions that found the lock taken'),
  waitCycles: count.describe('from wanting to having, of contended acquisitions'),
  holdCycles: count,
  maxWaitCycles: count,
  takeCycles: count.describe('from wanting to having, of acquisitions that found it free'),
});

const latency = z
  .looseObject({ count: whole, p50: count, p90: count, p99: count, p999: count, max: count })
  .describe('cycles');

const price = z.looseObject({
  name: z.string(),
  unit: z.string(),
  value: z.number(),
  low: z.number(),
  high: z.number(),
  kind: z.string().describe('measured, published, manual or assumed'),
  source: z.string(),
});

const ends = z.looseObject({ low: count, high: count });
const interval = z.looseObject({ value: count, low: count, high: count });

const priceEffect = price.extend({
  elasticity: z.number().describe('relative change of the time per relative change of the price'),
  chargedPerOperation: count.describe('on all CPUs'),
  cyclesPerOperation: ends.describe('with the price at its low and at its high end'),
  ratio: ends.describe('to the first design, likewise; only in comparisons').exactOptional(),
});

const runSensitivity = z.looseObject({
  cyclesPerOperation: interval.describe('while prices go through their intervals'),
  prices: z.array(priceEffect).describe('those that move it by more than the threshold'),
  threshold: z.number(),
  unattributed: z.number().describe('share of the time that no price explains'),
  runs: whole,
});

const ranking = z.looseObject({
  vcpus: z.int().positive(),
  one: z.string(),
  other: z.string(),
  ratio: interval.describe('time of the other divided by that of the one'),
  decided: z.boolean().describe('no point that was run turns their order round'),
  turnedBy: z
    .array(
      z.looseObject({
        prices: z.array(z.looseObject({ name: z.string(), value: z.number() })),
        ratio: count,
      }),
    )
    .describe('prices that turn the order round: each by itself, or all of an entry together'),
});

export const runSchema: z.ZodType<Run> = z.looseObject({
  schema: z.literal('kpop.run/1'),
  design: z.string(),
  title: z.string(),
  workload: z.string(),
  machine: z.string(),
  vcpus: z.int().positive(),
  cpus: z.int().positive(),
  seed: z.number(),
  modelVersion: whole,
  conditions: z.record(z.string(), z.union([z.string(), z.number()])),
  operations: whole.describe('accesses or acts that the workload defines'),
  cycles: count.describe('simulated duration of the measured part'),
  seconds: count.describe('simulated'),
  operationsPerSecond: count.describe('simulated'),
  counts,
  switches: switches.describe('world switches by symbol, for weights of your own'),
  exitsByReason: z.array(exit),
  locks: z.array(lock),
  latency: latency.describe('cycles of program accesses that left the guest at least once'),
  guestFaultLatency: latency.describe('cycles of accesses that faulted inside the guest only'),
  memory: z.looseObject({ tableBytes: whole, bookBytes: whole }),
  digest: z.string().describe('hash of the ordered trace events and the final memory'),
  limits: texts.describe('what the model leaves out'),
  assumes: texts.describe('what the design takes for granted'),
  locksNotModelled: texts.describe('locks of the real system that the model does not hold'),
  sensitivity: runSensitivity.describe('only with --sensitivity').exactOptional(),
});

const atSoftware = z.looseObject({
  zero: count.describe('software work priced at 0'),
  one: count.describe('at its price'),
  two: count.describe('at twice its price'),
});

export const compareSchema: z.ZodType<Compare> = z.looseObject({
  schema: z.literal('kpop.compare/1'),
  runs: z.array(runSchema).min(1).describe('all are compared with the design of the first'),
  sensitivity: z
    .array(
      z.looseObject({
        design: z.string(),
        vcpus: z.int().positive(),
        cyclesPerOperation: atSoftware,
        ratio: atSoftware.describe('to the first design with as many vCPUs'),
        interval: interval.describe('of the ratio, prices in their intervals').exactOptional(),
        prices: z.array(priceEffect).describe('only with --sensitivity').exactOptional(),
        unattributed: z.number().exactOptional(),
      }),
    )
    .describe('in the order of runs'),
  decided: z
    .boolean()
    .describe('no order of two designs turns round within the intervals of prices')
    .exactOptional(),
  rankings: z.array(ranking).describe('every pair of designs, with --sensitivity').exactOptional(),
});

const entry = z.looseObject({ id: z.string(), title: z.string() });

export const listSchema: z.ZodType<List> = z.looseObject({
  schema: z.literal('kpop.list/1'),
  designs: z.array(
    z.looseObject({
      id: z.string(),
      title: z.string(),
      axes: z.array(z.looseObject({ name: z.string(), values: texts, default: z.string() })),
      source: z.string(),
      leavesOut: texts,
      isolates: z.string(),
    }),
  ),
  workloads: z.array(entry),
  litmus: z.array(entry),
  promises: z.array(entry),
  experiments: z.array(entry),
  machines: z.array(entry),
});

/** Every published document, by the name of its file in schema/ without the ending. */
const documents: Readonly<Record<string, z.ZodType>> = {
  'kpop.run-1': runSchema,
  'kpop.compare-1': compareSchema,
  'kpop.list-1': listSchema,
  'kpop.answer-1': answerSchemaOf(compareSchema),
  'kpop.check-1': checkSchema,
  'kpop.replay-1': replaySchema,
};

/** JSON Schema texts by file name. */
export function jsonSchemas(): ReadonlyMap<string, string> {
  const files = Object.entries(documents).map(([name, schema]): [string, string] => {
    const json = { title: name.replace(/-(\d+)$/, '/$1'), ...z.toJSONSchema(schema) };
    return [`${name}.json`, `${JSON.stringify(json, null, 2)}\n`];
  });
  return new Map(files);
}
