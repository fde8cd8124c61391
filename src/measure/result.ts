/**
 * What a run, a comparison and a list say, as they are written to JSON: "kpop.run/1",
 * "kpop.compare/1", "kpop.list/1". Everything but `Wall` fields is a function of design, workload,
 * machine and seed. `report/schema.ts` holds the same as schemas, checked against these types.
 */
import type { ExitRow } from './exits.ts';
import type { Summary } from './histogram.ts';
import type { LockResult } from './locks.ts';
import type { Interval, PriceEffect, Ranking, RunSensitivity } from './sensitivity.ts';

export interface Counts {
  /** Entries into L0 from any guest level. */
  readonly exits: number;
  /** Exits delivered to a level above L0. */
  readonly nested: number;
  /** Hypercalls: a subset of the exits. */
  readonly hypercalls: number;
  /** Returns of a hypervisor to its user space. */
  readonly userspace: number;
  /** Inter-processor interrupts sent. */
  readonly ipis: number;
  /** Invalidations executed by a CPU. */
  readonly flushes: number;
  readonly pagesZeroed: number;
  readonly pagesCopied: number;
  readonly copyBytes: number;
}

/** World switches by symbol, for readers who bring their own weights (primer/protection.md 0.2). */
export interface Switches {
  readonly hvc: number;
  readonly gexit: number;
  readonly vmx: number;
  readonly nest: number;
  readonly uexit: number;
  readonly seam: number;
  readonly tdexit: number;
  readonly tlbi: number;
  readonly iotlb: number;
  readonly devtlb: number;
}

/** What the counters know of a run. */
export interface Measured {
  /** Accesses or acts that the workload defines. */
  readonly operations: number;
  /** Simulated duration of the measured part. */
  readonly cycles: number;
  readonly counts: Counts;
  readonly switches: Switches;
  readonly exitsByReason: readonly ExitRow[];
  readonly locks: readonly LockResult[];
  /** Cycles from first try to completion, of program accesses that left the guest. */
  readonly latency: Summary;
  /** The same of accesses that faulted inside the guest only. */
  readonly guestFaultLatency: Summary;
}

export interface Memory {
  /** Bytes in tables that hardware walks, or that stand in for them. */
  readonly tableBytes: number;
  /** Bytes in hypervisors' own books: reverse maps, trackers, indices. */
  readonly bookBytes: number;
}

export type Conditions = Readonly<Record<string, string | number>>;

export interface Run extends Measured {
  readonly schema: 'kpop.run/1';
  readonly design: string;
  /** The design in words. */
  readonly title: string;
  readonly workload: string;
  readonly machine: string;
  readonly vcpus: number;
  readonly cpus: number;
  readonly seed: number;
  readonly modelVersion: number;
  readonly conditions: Conditions;
  readonly seconds: number;
  readonly operationsPerSecond: number;
  readonly memory: Memory;
  readonly digest: string;
  /** What the model leaves out. */
  readonly limits: readonly string[];
  /** What the design takes for granted. */
  readonly assumes: readonly string[];
  /** Locks of the real system that the model does not hold. */
  readonly locksNotModelled: readonly string[];
  /** On which prices it hangs, if that was asked. */
  readonly sensitivity?: RunSensitivity;
}

/** One figure with all units of software work priced at 0, at their price, and at twice it. */
export interface AtSoftware {
  readonly zero: number;
  readonly one: number;
  readonly two: number;
}

export interface Sensitivity {
  readonly design: string;
  readonly vcpus: number;
  readonly cyclesPerOperation: AtSoftware;
  /** Cycles per operation, divided by those of the first design with as many vCPUs. */
  readonly ratio: AtSoftware;
  /** That ratio while prices go through their intervals; this and the rest only if asked for. */
  readonly interval?: Interval;
  readonly prices?: readonly PriceEffect[];
  /** Share of the time that no price explains. */
  readonly unattributed?: number;
}

export interface Compare {
  readonly schema: 'kpop.compare/1';
  /** The first run's design is what the others are compared with. */
  readonly runs: readonly Run[];
  /** In the order of `runs`. */
  readonly sensitivity: readonly Sensitivity[];
  /** Whether every order of two designs holds wherever in their intervals prices were put. */
  readonly decided?: boolean;
  readonly rankings?: readonly Ranking[];
}

export interface ListEntry {
  readonly id: string;
  readonly title: string;
}

export interface Axis {
  readonly name: string;
  readonly values: readonly string[];
  readonly default: string;
}

export interface DesignEntry extends ListEntry {
  readonly axes: readonly Axis[];
  readonly source: string;
  readonly leavesOut: readonly string[];
  /** What it does not share with its neighbours, so that a difference has one cause. */
  readonly isolates: string;
}

export interface List {
  readonly schema: 'kpop.list/1';
  readonly designs: readonly DesignEntry[];
  readonly workloads: readonly ListEntry[];
  readonly litmus: readonly ListEntry[];
  readonly promises: readonly ListEntry[];
  readonly experiments: readonly ListEntry[];
  readonly machines: readonly ListEntry[];
}
