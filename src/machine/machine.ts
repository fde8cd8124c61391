/**
 * The machine: performs the acts that contexts offer, on words, TLBs, control blocks and
 * interrupts, at the prices of a preset. It is the engine of the timed scheduler. What an act means
 * depends only on the mode of the CPU: in root mode an address is host-physical and every
 * instruction executes; in guest mode an address is guest-physical and a privileged instruction is
 * a VM exit.
 *
 * Order: an act takes effect at the CPU's local time when its turn comes; schedulers call `perform`
 * in ascending order of that time.
 */
import { defect } from '../base/assert.ts';
import { Op, type Routine } from '../runtime/act.ts';
import { Context } from '../runtime/context.ts';
import { type Engine, Outcome, type Processor } from '../runtime/processor.ts';
import type { TraceSink } from '../runtime/trace.ts';
import { ChargedLines } from './charged-lines.ts';
import { Cost } from './cost.ts';
import { Cpu } from './cpu.ts';
import { GuestContext, type PrivatePath } from './guest.ts';
import type { Ledger } from './ledger.ts';
import { type LinePrices, Lines } from './lines.ts';
import { Memory } from './memory.ts';
import { GuestOnTheSpot, HostOnTheSpot } from './on-the-spot.ts';
import { runPrivate } from './perform-access.ts';
import { performInstruction } from './perform-instruction.ts';
import { performMemory } from './perform-memory.ts';
import { GuestPlainMemory, HostPlainMemory } from './plain.ts';
import type { Preset } from './preset/price.ts';
import { amd } from './svm.ts';
import { Tlb } from './tlb.ts';
import { type Tables, Translator } from './translator.ts';
import type { Vendor } from './vendor.ts';
import { acceptPosted } from './virtual-apic.ts';
import { intel } from './vmx.ts';
import { Waiters } from './waiters.ts';
import { exitToHost } from './world-switch.ts';

const LAST_MEMORY_ACT = Op.choose;

export interface MachineOptions extends Tables {
  readonly preset: Preset;
  readonly cpus: number;
  readonly trace: TraceSink;
  /** Who listens to tracepoints, if anybody does. */
  readonly tracepoints?: TraceSink | undefined;
  /** Factor on all software work units: 1, or 0 and 2 for sensitivity. */
  readonly softwareScale?: number;
  /** Writes down what every clock is made of; takes time of the simulator's own. */
  readonly ledger?: Ledger;
  /** The words; an explorer or a worker brings its own kind. */
  readonly memory?: Memory;
  /** Who has which cache line; the preset's prices decide unless given. */
  readonly lines?: Lines;
  /** The TLB of a CPU; the preset's unless given. */
  readonly tlb?: (cpu: number) => Tlb;
}

export class Machine implements Engine {
  readonly preset: Preset;
  readonly vendor: Vendor;
  readonly memory: Memory;
  readonly cpus: readonly Cpu[];
  readonly processors: readonly Processor[];
  readonly cost: Cost;
  readonly lines: Lines;
  readonly ledger: Ledger | undefined;
  readonly waiters: Waiters;
  readonly translator: Translator;
  readonly trace: TraceSink;
  readonly tracepoints: TraceSink | undefined;
  readonly lookahead: number;
  /** Every guest context, in the order of their making. */
  readonly guests: GuestContext[] = [];
  readonly #hostPlain: HostPlainMemory;
  readonly #guestPlain: GuestPlainMemory;
  readonly #hostSpot: HostOnTheSpot;
  readonly #guestSpot: GuestOnTheSpot;
  /** Handler of host interrupts, by vector; installed by the host's kernel. */
  readonly hostVectors = new Map<number, (cpu: Cpu, host: Context) => Routine<void>>();
  #contexts = 0;
  #wake: (processor: Processor, cycle: number) => void = () => undefined;

  constructor(options: MachineOptions) {
    const { preset, cpus } = options;
    this.preset = preset;
    this.vendor = preset.vendor === 'amd' ? amd : intel;
    this.memory = options.memory ?? new Memory({ frames: 1024 });
    this.trace = options.trace;
    this.tracepoints = options.tracepoints;
    this.cost = Cost.of(preset, options.softwareScale ?? 1);
    this.cpus = Array.from({ length: cpus }, (_, id) => {
      return new Cpu(id, options.tlb?.(id) ?? new Tlb(preset.tlb));
    });
    this.processors = this.cpus;
    const { l1Hit, rmwLocal, llcHit } = this.cost.hardware;
    const linePrices: LinePrices = {
      l1: l1Hit,
      rmw: rmwLocal,
      llc: llcHit,
      transfer: (from, to) => this.cost.transfer(from, to),
    };
    this.ledger = options.ledger;
    this.lines =
      options.lines ??
      (this.ledger === undefined
        ? new Lines(this.memory, cpus, linePrices)
        : new ChargedLines(this.memory, cpus, linePrices, this.cost, this.ledger));
    this.waiters = new Waiters(this.memory);
    this.translator = new Translator(this, options);
    const { ipiSameSocket, ipiCrossSocket } = this.cost.hardware;
    this.lookahead = Math.min(ipiSameSocket, ipiCrossSocket);
    this.#hostPlain = new HostPlainMemory(this);
    this.#guestPlain = new GuestPlainMemory(this);
    this.#hostSpot = new HostOnTheSpot(this);
    this.#guestSpot = new GuestOnTheSpot(this);
  }

  /** Puts a new host thread on CPU `cpu`; `body` makes its code. */
  hostThread(cpu: number, name: string, body: (me: Context) => Routine<void>): Context {
    const context = new Context(this.#contexts++, name, this.#hostPlain, this.#hostSpot);
    const on = this.cpus[cpu] ?? defect('Machine.hostThread', `no CPU ${cpu}`);
    if (on.host !== undefined) defect('Machine.hostThread', `CPU ${cpu} has a thread already`);
    context.cpu = cpu;
    context.on = on;
    context.seat = cpu;
    context.push(body(context));
    on.host = context;
    on.current = context;
    return context;
  }

  /** A guest context of `level` 1, 2, …; it runs when a hypervisor enters it. */
  guest(level: number, name: string): GuestContext {
    const ahead: PrivatePath = (guest, lines, from) => {
      return runPrivate(this, this.cpus[guest.cpu]!, guest, lines, from);
    };
    const guest = new GuestContext(
      this.#contexts++,
      name,
      level,
      this.#guestPlain,
      this.#guestSpot,
      ahead,
    );
    this.guests.push(guest);
    return guest;
  }

  onWake(wake: (processor: Processor, cycle: number) => void): void {
    this.#wake = wake;
  }

  wake(cpu: Cpu, cycle: number): void {
    this.#wake(cpu, cycle);
  }

  perform(processor: Processor): number {
    const cpu = processor as Cpu;
    const context = cpu.current!;
    if (context === cpu.host) {
      if (cpu.latched.length !== 0 && !context.masked) return this.#interruptHost(cpu, context);
    } else if (cpu.guest!.apic.deliverable !== 0 && !context.masked) {
      return deliverVirtual(cpu.guest!);
    }
    const frame = context.frame!;
    return frame.act.op <= LAST_MEMORY_ACT
      ? performMemory(this, cpu, context, frame)
      : performInstruction(this, cpu, context, frame);
  }

  interrupt(processor: Processor): boolean {
    const cpu = processor as Cpu;
    const arrived = cpu.takeArrival();
    if (cpu.guest === undefined) {
      cpu.latched.push(arrived);
      if (cpu.current === undefined) this.#interruptIdle(cpu);
    } else if (arrived.notifies === cpu.guest) {
      acceptPosted(this, cpu.guest); // by hardware, without an exit
    } else {
      cpu.latched.push(arrived);
      exitToHost(this, cpu, { reason: this.vendor.interrupt });
    }
    return true;
  }

  finished(_processor: Processor, context: Context): void {
    const cpu = this.cpus[context.cpu];
    if (cpu === undefined || context === cpu.guest) {
      defect('Machine.finished', `${context.name}: a guest's code never returns`);
    }
    cpu.current = undefined;
    this.#interruptIdle(cpu);
  }

  /** A CPU whose thread has ended goes on answering interrupts, as an idle one does. */
  #interruptIdle(cpu: Cpu): void {
    const { host } = cpu;
    if (host === undefined) return;
    while (cpu.latched.length !== 0 && host.finished) this.#interruptHost(cpu, host);
    if (!host.finished) cpu.current = host;
  }

  #interruptHost(cpu: Cpu, host: Context): number {
    const { vector, notifies } = cpu.latched.shift()!;
    if (notifies !== undefined) return Outcome.advanced; // who enters or waits next will look
    const handler = this.hostVectors.get(vector);
    if (handler === undefined) defect('Machine', `no handler for vector ${vector}`);
    host.push(handler(cpu, host));
    return Outcome.advanced;
  }
}

function deliverVirtual(guest: GuestContext): number {
  const vector = guest.apic.take();
  const handler = guest.vector;
  if (handler === undefined) defect('Machine', `${guest.name}: no interrupt handler`);
  guest.push(handler(vector));
  return Outcome.advanced;
}
