/**
 * Counts what a run reports (DESIGN.md section 5) from its trace events and from nothing else.
 *
 * The measured part begins with the last of the participants' `begin` events and ends with the last
 * of their `end` events: before and after, set-up and teardown run. Its duration goes from the
 * latest beginning to the latest end in simulated time. Asked before the end, the counters answer
 * up to the latest event.
 */
import { defect } from '../base/assert.ts';
import { Event, type TraceSink } from '../runtime/trace.ts';
import { type ExitNames, ExitProfile } from './exits.ts';
import { Histogram } from './histogram.ts';
import { LockProfile } from './locks.ts';
import type { Measured, Switches } from './result.ts';

export interface CountersOptions {
  /** Physical CPUs. */
  readonly cpus: number;
  /** How many `begin` events, and as many `end` events, the workload emits. */
  readonly participants: number;
  readonly exitNames: ExitNames;
  /** Names of lock classes, by class number. */
  readonly lockNames: readonly string[];
}

export type CountersResult = Measured;

const { begin, end, want, acquire, release, exit, entry, copy, fault, guestFault, operation } =
  Event;

type Phase = 'before' | 'measured' | 'after';

export class Counters implements TraceSink {
  readonly #participants: number;
  readonly #exits: ExitProfile;
  readonly #locks: LockProfile;
  readonly #latency = new Histogram();
  readonly #guestFaultLatency = new Histogram();
  /** Events of each kind in the measured part. */
  readonly #counts = new Float64Array(KINDS);
  #operations = 0;
  #copyBytes = 0;
  #phase: Phase = 'before';
  #begins = 0;
  #ends = 0;
  #start = 0;
  #end = 0;
  #latest = 0;

  constructor(options: CountersOptions) {
    if (options.participants < 1) defect('Counters', 'nobody would begin the measured part');
    this.#participants = options.participants;
    this.#exits = new ExitProfile(options.cpus, options.exitNames);
    this.#locks = new LockProfile(options.cpus, options.lockNames);
  }

  /** Whether the measured part is over. */
  get complete(): boolean {
    return this.#phase === 'after';
  }

  event(kind: number, cpu: number, cycle: number, a: number, b: number): void {
    if (cycle > this.#latest) this.#latest = cycle;
    if (kind === begin) this.#begin(cycle);
    else if (kind === end) this.#finish(cycle);
    else if (kind === want) this.#locks.want(cpu, a, cycle);
    else if (kind === acquire) this.#locks.acquire(cpu, a, cycle, b === 1);
    else if (kind === release) this.#locks.release(cpu, a, cycle);
    else if (this.#phase === 'measured') this.#count(kind, cpu, cycle, a, b);
  }

  result(): CountersResult {
    const until = this.complete ? this.#end : this.#latest;
    return {
      operations: this.#operations,
      cycles: this.#phase === 'before' ? 0 : Math.max(0, until - this.#start),
      counts: {
        exits: this.#counts[Event.exit]!,
        nested: this.#counts[Event.nested]!,
        hypercalls: this.#counts[Event.hypercall]!,
        userspace: this.#counts[Event.userspace]!,
        ipis: this.#counts[Event.ipi]!,
        flushes: this.#counts[Event.flush]!,
        pagesZeroed: this.#counts[Event.zero]!,
        pagesCopied: this.#counts[Event.copy]!,
        copyBytes: this.#copyBytes,
      },
      switches: this.#switches(),
      exitsByReason: this.#exits.result(),
      locks: this.#locks.result(until),
      latency: this.#latency.summary(),
      guestFaultLatency: this.#guestFaultLatency.summary(),
    };
  }

  #begin(cycle: number): void {
    this.#begins++;
    if (this.#begins > this.#participants) {
      defect('Counters', `more than ${this.#participants} participants began`);
    }
    if (cycle > this.#start) this.#start = cycle;
    if (this.#begins < this.#participants) return;
    this.#phase = 'measured';
    this.#locks.begin(this.#start);
  }

  #finish(cycle: number): void {
    this.#ends++;
    if (this.#ends > this.#begins) defect('Counters', 'a participant ended that did not begin');
    if (cycle > this.#end) this.#end = cycle;
    if (this.#ends < this.#participants) return;
    this.#phase = 'after';
    this.#locks.end(this.#end);
  }

  #count(kind: number, cpu: number, cycle: number, a: number, b: number): void {
    this.#counts[kind]++;
    switch (kind) {
      case exit:
        this.#exits.exit(cpu, cycle, a, b);
        break;
      case entry:
        this.#exits.entry(cpu, cycle);
        break;
      case copy:
        this.#copyBytes += b;
        break;
      case fault:
        this.#latency.record(a);
        break;
      case guestFault:
        this.#guestFaultLatency.record(a);
        break;
      case operation:
        this.#operations += a;
        break;
      default: // the count is all there is to know
    }
  }

  /**
   * The world switches of primer/protection.md 0.2 for x86: `vmx` is an exit into L0 with its
   * resume, `nest` an exit that reached a level above L0, `uexit` a return to user space. The two
   * exits that a `nest` consists of are counted in `vmx` as well, so weights for `nest` stand for
   * what it costs beyond them. Symbols of other machines stay 0.
   */
  #switches(): Switches {
    return {
      hvc: 0,
      gexit: 0,
      vmx: this.#counts[Event.exit]!,
      nest: this.#counts[Event.nested]!,
      uexit: this.#counts[Event.userspace]!,
      seam: 0,
      tdexit: 0,
      tlbi: 0,
      iotlb: 0,
      devtlb: 0,
    };
  }
}

const KINDS = Math.max(...Object.values(Event)) + 1;
