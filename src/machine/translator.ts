/**
 * Address translation of guests: the TLB of the CPU first, then a walk whose results fill it. A
 * second-stage failure is a VM exit with the manual's qualification; it also drops what this CPU
 * has cached for the faulting address (Intel SDM vol. 3, 28.4.3.1).
 *
 * Leaves out: the PDE cache above the leaf table's level (upper paging-structure entries save the
 * references of levels that the leaf-table cache saves as well).
 */

import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import { ExitReason } from './exit.ts';
import { MANUAL_4 } from './format/format.ts';
import {
  type Access,
  ALL_RIGHTS,
  OK,
  type Outcome,
  type Privilege,
  READ,
  USER,
  type WalkedFormat,
  WRITE,
} from './format/judge.ts';
import { x86_64 } from './format/x86-64.ts';
import type { GuestContext } from './guest.ts';
import { BELLS, PAGE_FAULT } from './instruction.ts';
import type { Machine } from './machine.ts';
import { FRAME_BYTES, type Memory } from './memory.ts';
import { ModificationLog } from './pml.ts';
import { Charge } from './preset/price.ts';
import { Residence } from './residence.ts';
import { type Walker as SecondWalker, Walker } from './walk.ts';
import { type NestedCache, NestedWalker } from './walk-2d.ts';
import type { PageLog } from './walk-log.ts';
import { exitToHost } from './world-switch.ts';

/** The right that an access needs, as a bit of a TLB entry's rights. */
export function rightOf(access: Access): number {
  return 1 << access;
}

const PER_BYTE = 1 / FRAME_BYTES;
/** `until` of a CPU whose turns no timed scheduler counts: others may act at any moment. */
const NOT_TIMED = Number.NEGATIVE_INFINITY;
const ALL_BUT_WRITE = ALL_RIGHTS & ~(1 << WRITE);

/** The guest-physical mappings of one CPU under one EP4TA, as the nested walker asks for them. */
class GuestPhysicalCache implements NestedCache {
  cpu!: Cpu;
  space = 0;
  rights = 0;

  lookup(gpaPage: number, access: Access): number {
    const frame = this.cpu.tlb.lookup(this.space, gpaPage, rightOf(access));
    this.rights = this.cpu.tlb.rights;
    return frame;
  }

  fill(gpaPage: number, _access: Access, second: SecondWalker): void {
    const rights = second.dirty ? second.rights : second.rights & ALL_BUT_WRITE;
    this.cpu.tlb.insert(this.space, gpaPage, second.pfn, rights);
  }
}

/** Formats of a machine's tables. */
export interface Tables {
  /** Of the second stage; the vendor's, with the manual's geometry, unless given. */
  readonly secondStage?: WalkedFormat | undefined;
  /** The same under guests of guests; explorations give those smaller tables. */
  readonly nestedStage?: WalkedFormat | undefined;
  /** Of guests' own tables and of a shadow of them; long mode's unless given. */
  readonly firstStage?: WalkedFormat | undefined;
  /** Levels of the manual's tables: of the second stage, and of guests' own. */
  readonly levels?: { readonly second: number; readonly first: number } | undefined;
}

const DEFAULT_LEVELS = { second: MANUAL_4.levels, first: MANUAL_4.levels };

/** What walks the tables of one second-stage format, each made when it is first needed. */
class Walkers {
  /** Level of the root table. */
  readonly top: number;
  readonly #make: () => NestedWalker;
  readonly #memory: Memory;
  readonly #format: WalkedFormat;
  #nested: NestedWalker | undefined;
  #second: Walker | undefined;
  #peek: Walker | undefined;

  constructor(memory: Memory, format: WalkedFormat, make: () => NestedWalker) {
    this.top = format.geometry.levels - 1;
    this.#memory = memory;
    this.#format = format;
    this.#make = make;
  }

  get nested(): NestedWalker {
    this.#nested ??= this.#make();
    return this.#nested;
  }

  get second(): Walker {
    this.#second ??= new Walker(this.#memory, this.#format);
    return this.#second;
  }

  get peek(): Walker {
    this.#peek ??= new Walker(this.#memory, this.#format);
    return this.#peek;
  }
}

/** First stages of guests, by levels and width of physical addresses, for all machines. */
const FIRST_STAGES = new Map<string, ReturnType<typeof x86_64>>();

function firstStageOf(levels: number, maxPhyBits: number): ReturnType<typeof x86_64> {
  const key = `${levels} ${maxPhyBits}`;
  let format = FIRST_STAGES.get(key);
  if (format === undefined) {
    format = x86_64({ levels, indexBits: MANUAL_4.indexBits }, { maxPhyBits });
    FIRST_STAGES.set(key, format);
  }
  return format;
}

export class Translator {
  /** Format under guests of level 1, and under guests of guests: one and the same on real CPUs. */
  readonly secondStage: WalkedFormat;
  readonly nestedStage: WalkedFormat;
  readonly firstStage: WalkedFormat;
  readonly #m: Machine;
  readonly #walkers: Walkers;
  readonly #nestedWalkers: Walkers;
  readonly #shadowWalker: Walker;
  readonly #cache = new GuestPhysicalCache();
  readonly #log: ModificationLog;
  /** None under exploration, where the words that are read are part of a state. */
  readonly #residence: Residence | undefined;
  readonly #groupBits: number;
  /** #PF error code of the last `linear` that said 'guest'. */
  guestFaultCode = 0;

  constructor(machine: Machine, tables: Tables) {
    const { secondStage, nestedStage, firstStage, levels = DEFAULT_LEVELS } = tables;
    const { maxPhyBits } = machine.preset;
    const { indexBits } = MANUAL_4;
    const second = { levels: levels.second, indexBits };
    this.#m = machine;
    this.#log = new ModificationLog(machine);
    this.secondStage = secondStage ?? machine.vendor.secondStage(second, maxPhyBits);
    this.nestedStage = nestedStage ?? this.secondStage;
    this.firstStage = firstStage ?? firstStageOf(levels.first, maxPhyBits);
    this.#walkers = this.#walkersOf(this.secondStage);
    this.#nestedWalkers =
      this.nestedStage === this.secondStage ? this.#walkers : this.#walkersOf(this.nestedStage);
    const { memory } = machine;
    this.#shadowWalker = new Walker(memory, this.firstStage);
    const isExplored = memory.frameLimit < Number.POSITIVE_INFINITY;
    this.#residence = isExplored ? undefined : new Residence(memory);
    this.#groupBits = 2 ** indexBits;
  }

  #walkersOf(format: WalkedFormat): Walkers {
    const { memory } = this.#m;
    return new Walkers(memory, format, () => {
      const nested = new NestedWalker(memory, this.firstStage, format);
      nested.cache = this.#cache;
      return nested;
    });
  }

  #of(guest: GuestContext): Walkers {
    return guest.level < 2 ? this.#walkers : this.#nestedWalkers;
  }

  /** Host-physical address of a guest-physical one; -1 if the guest exited instead. */
  guestPhysical(cpu: Cpu, guest: GuestContext, at: number, access: Access): number {
    if (guest.regime.shadowRoot !== 0) return this.#throughDirectMap(cpu, guest, at, access);
    const page = Math.floor(at * PER_BYTE);
    const space = cpu.guestPhysicalSpace(guest.regime.tag);
    let frame = cpu.tlb.lookup(space, page, 1 << access);
    if (frame < 0) frame = this.#walkSecond(cpu, guest, space, at, access);
    return frame < 0 ? -1 : frame * FRAME_BYTES + (at & (FRAME_BYTES - 1));
  }

  #walkSecond(cpu: Cpu, guest: GuestContext, space: number, at: number, access: Access): number {
    const page = Math.floor(at * PER_BYTE);
    const walker = this.#of(guest).second;
    walker.log = this.#logOf(cpu, guest);
    const outcome = walker.walk(guest.regime.root, page, access, USER);
    pay(this.#m, cpu, Charge.walkReference, walker.references);
    if (outcome !== OK) {
      cpu.tlb.dropPage(space, page);
      this.#violation(cpu, outcome, walker.code, at, at);
      return -1;
    }
    const rights = walker.dirty ? walker.rights : walker.rights & ALL_BUT_WRITE;
    cpu.tlb.insert(space, page, walker.pfn, rights);
    return walker.pfn;
  }

  #logOf(cpu: Cpu, guest: GuestContext): PageLog | undefined {
    if (!guest.regime.logs) return undefined;
    this.#log.cpu = cpu;
    return this.#log;
  }

  /** EPT is off: the guest's code reaches its memory by the linear addresses of its direct map. */
  #throughDirectMap(cpu: Cpu, guest: GuestContext, at: number, access: Access): number {
    const { base, privilege } = guest.direct;
    const page = Math.floor(at * PER_BYTE) + (guest.regime.cr3 === 0 ? 0 : base);
    const offset = at & (FRAME_BYTES - 1);
    const frame = this.#shadowed(cpu, guest, page, offset, access, privilege);
    return frame < 0 ? -1 : frame * FRAME_BYTES + offset;
  }

  /** EPT is off: the hypervisor's tables are all that hardware walks; each failure is an exit. */
  #shadowed(
    cpu: Cpu,
    guest: GuestContext,
    page: number,
    offset: number,
    access: Access,
    privilege: Privilege,
  ): number {
    const space = cpu.combinedSpace(guest.regime);
    const cached = cpu.tlb.lookup(space, page, rightOf(access));
    if (cached >= 0) return cached;
    const walker = this.#shadowWalker;
    const outcome = walker.walk(guest.regime.shadowRoot, page, access, privilege);
    pay(this.#m, cpu, Charge.walkReference, walker.references);
    if (outcome === OK) {
      const rights = walker.dirty ? walker.rights : walker.rights & ALL_BUT_WRITE;
      cpu.tlb.insert(space, page, walker.pfn, rights);
      return walker.pfn;
    }
    cpu.tlb.dropPage(space, page);
    const address = page * FRAME_BYTES + offset;
    exitToHost(this.#m, cpu, {
      reason: ExitReason.exception,
      vector: PAGE_FAULT,
      errorCode: walker.code,
      qualification: address,
      guestLinear: address,
    });
    return -1;
  }

  /** Where a guest-physical word lies, without any effect; -1 if the access is not permitted. */
  peek(guest: GuestContext, at: number, access: Access = READ): number {
    if (at >= BELLS) return at;
    const page = Math.floor(at * PER_BYTE);
    const frame =
      guest.plainFrame === undefined
        ? this.#lookForFrame(this.#m.cpus[guest.cpu], guest, page, access)
        : guest.plainFrame(page);
    return frame < 0 ? -1 : frame * FRAME_BYTES + (at & (FRAME_BYTES - 1));
  }

  /** The same for a whole page: its frame. */
  peekFrame(guest: GuestContext, page: number, access: Access): number {
    if (guest.plainFrame !== undefined) return guest.plainFrame(page);
    const cpu = guest.on as Cpu | undefined;
    if (cpu === undefined || cpu.until === NOT_TIMED) {
      return this.#lookForFrame(this.#m.cpus[guest.cpu], guest, page, access);
    }
    const stamp = cpu.turns + cpu.tlb.changes; // neither ever falls
    const known = cpu.recent.find(stamp, page, access);
    if (known >= 0) return known;
    const frame = this.#lookForFrame(cpu, guest, page, access);
    if (frame >= 0) cpu.recent.keep(stamp, page, access, frame);
    return frame;
  }

  #lookForFrame(cpu: Cpu | undefined, guest: GuestContext, page: number, access: Access): number {
    const { root, tag } = guest.regime;
    let frame = -1;
    if (cpu !== undefined) {
      frame = cpu.tlb.lookup(cpu.guestPhysicalSpace(tag), page, 1 << access);
    }
    if (frame < 0 && this.#residence !== undefined) {
      frame = this.#residence.find(root, page, access);
    }
    return frame < 0 ? this.#walkToPeek(guest, page, access) : frame;
  }

  #walkToPeek(guest: GuestContext, page: number, access: Access): number {
    const { root } = guest.regime;
    const { peek: walker, top } = this.#of(guest);
    walker.reset();
    const outcome = walker.descend(top, root, ALL_RIGHTS, page, access, USER);
    if (outcome !== OK) return -1;
    this.#residence?.keep(root, page, access, walker);
    return walker.pfn;
  }

  /**
   * Translates a program's linear page. OK: cached and usable. 'guest': its own tables fault, code
   * in `guestFaultCode`. 'exit': the second stage failed and the guest has exited.
   */
  linear(
    cpu: Cpu,
    guest: GuestContext,
    page: number,
    access: Access,
    offset = 0,
  ): 'ok' | 'guest' | 'exit' {
    const { regime } = guest;
    const space = cpu.combinedSpace(regime);
    if (cpu.tlb.lookup(space, page, rightOf(access)) >= 0) return 'ok';
    if (regime.shadowRoot !== 0) {
      return this.#shadowed(cpu, guest, page, offset, access, USER) < 0 ? 'exit' : 'ok';
    }
    const walker = this.#of(guest).nested;
    walker.second.log = this.#logOf(cpu, guest);
    this.#cache.cpu = cpu;
    this.#cache.space = cpu.guestPhysicalSpace(regime.tag);
    const outcome = this.#walkNested(cpu, guest, walker, space, page, access);
    pay(this.#m, cpu, Charge.walkReference, walker.references);
    if (outcome === OK) {
      const dirty = walker.dirty && access === WRITE;
      const rights = dirty ? walker.rights : walker.rights & ALL_BUT_WRITE;
      cpu.tlb.insert(space, page, walker.pfn, rights);
      this.#keepStructure(cpu, walker, space, page);
      return 'ok';
    }
    cpu.tlb.dropPage(space, page);
    if (walker.stage === 1) {
      this.guestFaultCode = walker.code;
      return 'guest';
    }
    cpu.tlb.dropPage(this.#cache.space, walker.failedGpaPage);
    const gpa = walker.failedGpaPage * FRAME_BYTES + walker.failedGpaOffset;
    this.#violation(cpu, outcome, walker.code, gpa, page * FRAME_BYTES);
    return 'exit';
  }

  invlpg(cpu: Cpu, guest: GuestContext, page: number): void {
    cpu.tlb.dropPage(cpu.combinedSpace(guest.regime), page);
  }

  /** Starts at the cached leaf table if there is one. */
  #walkNested(
    cpu: Cpu,
    guest: GuestContext,
    walker: NestedWalker,
    space: number,
    page: number,
    access: Access,
  ): Outcome {
    const { regime } = guest;
    const host = cpu.tlb.structure(space, Math.floor(page / this.#groupBits));
    if (host < 0) return walker.walk(regime.cr3, regime.root, page, access, USER);
    const start = {
      level: 0,
      pfn: cpu.tlb.structureGuestFrame,
      hostPfn: host,
      rights: cpu.tlb.rights,
      hostRights: ALL_RIGHTS,
    };
    return walker.walkFrom(start, regime.root, page, access, USER);
  }

  #keepStructure(cpu: Cpu, walker: NestedWalker, space: number, page: number): void {
    if (walker.level !== 0) return;
    cpu.tlb.insertStructure(
      space,
      Math.floor(page / this.#groupBits),
      { host: walker.hostTables[0]!, guest: walker.tables[0]! },
      walker.rightsAbove[0]!,
    );
  }

  #violation(cpu: Cpu, outcome: Outcome, code: number, gpa: number, linear: number): void {
    exitToHost(this.#m, cpu, {
      reason: this.#m.vendor.violation(outcome),
      qualification: code,
      guestPhysical: gpa,
      guestLinear: linear,
    });
  }
}
