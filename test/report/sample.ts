/**
 * Results made by hand for tests of the reports: the figures are invented, they only hang together.
 * No run of kpop produced them and nothing may be learnt from them.
 */
import { compareRuns } from '../../src/measure/compare.ts';
import type { Compare, Run } from '../../src/measure/result.ts';

const HERTZ = 2.5e9;
const PAGES = 1024;

interface Invented {
  readonly design: string;
  readonly title: string;
  /** Cycles per operation on one vCPU: hardware's part and software's part. */
  readonly hardware: number;
  readonly software: number;
  readonly exits: number;
  readonly nested: number;
  readonly hypercalls: number;
  readonly flushes: number;
  /** Cycles waited for locks per operation and further vCPU. */
  readonly wait: number;
  readonly tableBytes: number;
  readonly bookBytes: number;
}

const none = { count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };

const nested: Invented = {
  design: 'nested',
  title: 'L1 KVM on emulated VMX and EPT, L0 shadows the tables of L1',
  hardware: 12_000,
  software: 22_000,
  exits: 12,
  nested: 1,
  hypercalls: 0,
  flushes: 2,
  wait: 5200,
  tableBytes: 9_437_184,
  bookBytes: 131_072,
};
const kpop: Invented = {
  design: 'kpop:flush=request,lock=vm',
  title: 'KVM Paravirt Only Paging: the complete paravirtual system',
  hardware: 9000,
  software: 12_000,
  exits: 3,
  nested: 1,
  hypercalls: 2,
  flushes: 0.25,
  wait: 1100,
  tableBytes: 4_730_880,
  bookBytes: 262_144,
};
const evmcs: Invented = {
  design: 'evmcs',
  title: 'As nested, with enlightened VMCS and nested flush enlightenments',
  hardware: 7000,
  software: 24_500,
  exits: 7,
  nested: 1,
  hypercalls: 0.5,
  flushes: 1,
  wait: 1500,
  tableBytes: 9_437_184,
  bookBytes: 131_072,
};

/** One run of an invented design with software work at `scale` times its price. */
function invent(of: Invented, vcpus: number, scale: number): Run {
  const operations = PAGES * vcpus;
  const waited = of.wait * (vcpus - 1);
  const cycles = (of.hardware + of.software * scale + waited) * PAGES;
  const seconds = cycles / HERTZ;
  const p50 = of.hardware + of.software * scale;
  const waits = waited * operations;
  const violations = operations * of.nested;
  const other = operations * (of.exits - of.nested);
  return {
    schema: 'kpop.run/1',
    design: of.design,
    title: of.title,
    workload: 'touch:pages=1024',
    machine: 'intel-cascade-lake',
    vcpus,
    cpus: vcpus,
    seed: 1,
    modelVersion: 1,
    conditions: { pages: '4k', l1: 'warm', faultAround: 1, timer: 'off', apicv: 'on' },
    operations,
    cycles,
    seconds,
    operationsPerSecond: Math.round(operations / seconds),
    counts: {
      exits: operations * of.exits,
      nested: violations,
      hypercalls: operations * of.hypercalls,
      userspace: 0,
      ipis: 3 * (vcpus - 1),
      flushes: operations * of.flushes,
      pagesZeroed: operations,
      pagesCopied: 0,
      copyBytes: 0,
    },
    switches: {
      hvc: 0,
      gexit: 0,
      vmx: operations * of.exits,
      nest: violations,
      uexit: 0,
      seam: 0,
      tdexit: 0,
      tlbi: 0,
      iotlb: 0,
      devtlb: 0,
    },
    exitsByReason: exitsOf(of, violations, other),
    locks: [
      lock('l1.mmu', operations, vcpus, waits * 0.75, 900),
      lock('l0.mmu', operations, vcpus, waits * 0.25, 400),
    ],
    latency: {
      count: operations,
      p50,
      p90: p50 + waited,
      p99: p50 + 4 * waited,
      p999: p50 + 6 * waited,
      max: p50 + 8 * waited,
    },
    guestFaultLatency: none,
    memory: { tableBytes: of.tableBytes * vcpus, bookBytes: of.bookBytes * vcpus },
    digest: '00112233445566ff',
    limits: ['no SMT: every vCPU has a core of its own', `what only ${of.design} leaves out`],
    assumes: ['L1 and L0 trust each other’s tables only as far as they checked them'],
    locksNotModelled: ['the zone lock of the page allocator'],
  };
}

function exitsOf(of: Invented, violations: number, other: number): Run['exitsByReason'] {
  const others =
    of.hypercalls === 0
      ? [{ reason: 'VMREAD', level: 1, count: other, cycles: other * 1900 }]
      : [
          { reason: 'VMCALL', level: 1, count: other * 0.75, cycles: other * 2300 },
          { reason: 'VMRESUME', level: 1, count: other * 0.25, cycles: other * 900 },
        ];
  return [
    ...others,
    { reason: 'EPT_VIOLATION', level: 2, count: violations, cycles: violations * 2600 },
  ];
}

function lock(
  name: string,
  taken: number,
  vcpus: number,
  wait: number,
  held: number,
): Run['locks'][0] {
  return {
    name,
    acquisitions: taken,
    contended: vcpus === 1 ? 0 : taken / 2,
    waitCycles: wait,
    holdCycles: taken * held,
    maxWaitCycles: wait === 0 ? 0 : 48_000,
    takeCycles: taken * 40,
  };
}

function compared(designs: readonly Invented[], vcpus: readonly number[]): Compare {
  const at = (scale: number): Run[] =>
    vcpus.flatMap((n) => designs.map((design) => invent(design, n, scale)));
  return compareRuns(at(1), at(0), at(2));
}

/** Three designs on four vCPUs; evmcs and kpop change places with the price of software work. */
export const sampleCompare: Compare = compared([nested, kpop, evmcs], [4]);

/** The same on 1, 2, 4 and 8 vCPUs. */
export const sampleScaling: Compare = compared([nested, kpop, evmcs], [1, 2, 4, 8]);

/** Two of them on one vCPU, where nobody waits. */
export const samplePair: Compare = compared([nested, kpop], [1]);

export const sampleRun: Run = invent(kpop, 4, 1);

/** A run in which nothing happened at all. */
export const emptyRun: Run = {
  ...invent(nested, 1, 1),
  operations: 0,
  cycles: 0,
  seconds: 0,
  operationsPerSecond: 0,
  counts: {
    exits: 0,
    nested: 0,
    hypercalls: 0,
    userspace: 0,
    ipis: 0,
    flushes: 0,
    pagesZeroed: 0,
    pagesCopied: 0,
    copyBytes: 0,
  },
  exitsByReason: [],
  locks: [],
  latency: none,
  memory: { tableBytes: 0, bookBytes: 0 },
  conditions: {},
  limits: [],
  assumes: [],
  locksNotModelled: [],
};

export const emptyCompare: Compare = compareRuns(
  [emptyRun, { ...emptyRun, design: 'kpop' }],
  [emptyRun, { ...emptyRun, design: 'kpop' }],
  [emptyRun, { ...emptyRun, design: 'kpop' }],
);
