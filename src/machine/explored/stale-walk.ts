/**
 * An access by something that hardware has cached: a translation, or a table from which a walk goes
 * on although nothing points to it any more. Such a walk reads the table as it is now, and sets
 * accessed and dirty bits there, whatever the frame has become meanwhile.
 */

import { Op } from '../../runtime/act.ts';
import type { Cpu } from '../cpu.ts';
import { type Access, OK, READ, USER, type WalkedFormat, WRITE } from '../format/judge.ts';
import { Instruction } from '../instruction.ts';
import type { Machine } from '../machine.ts';
import { FRAME_BYTES, type Memory } from '../memory.ts';
import { Walker } from '../walk.ts';
import type { HostileHardware } from './adversary.ts';
import type { ExploredTlb } from './tlb.ts';

export class StaleWalk {
  readonly #hardware: HostileHardware;
  readonly #memory: Memory;
  readonly #walkers = new Map<WalkedFormat, Walker>();

  constructor(machine: Machine, hardware: HostileHardware) {
    this.#hardware = hardware;
    this.#memory = machine.memory;
  }

  /** The next access on `cpu` uses the cached entry of that number; a failing one walks anew. */
  use(cpu: Cpu, number: number): void {
    const tlb = cpu.tlb as ExploredTlb;
    const cached = this.#hardware.entry(number);
    if (cached.kind === 'leaf') {
      tlb.use = cached;
      return;
    }
    const { act } = cpu.current!.top;
    const isProgram = act.op === Instruction.access;
    const page = isProgram ? act.at : Math.floor(act.at / FRAME_BYTES);
    const start = { level: cached.level, pfn: cached.frame, rights: cached.rights };
    const ofWord = act.op === Op.load ? READ : WRITE;
    const access = isProgram ? (act.lo as Access) : ofWord;
    const walker = this.#walkerOf(this.#hardware.formatOf(cached.space));
    if (walker.walkFrom(start, page, access, USER) !== OK) return;
    tlb.use = { space: cached.space, page, frame: walker.pfn, rights: walker.rights };
  }
  #walkerOf(format: WalkedFormat): Walker {
    let walker = this.#walkers.get(format);
    if (walker === undefined) {
      walker = new Walker(this.#memory, format);
      this.#walkers.set(format, walker);
    }
    return walker;
  }
}
