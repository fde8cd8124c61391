/**
 * SVM in the machine: what VMRUN loads and #VMEXIT writes, and what one ASID for two guests means:
 * until VMRUN is told to drop it, what was cached of one serves the other.
 */
import { describe, expect, it } from 'vitest';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { Event } from '../runtime/trace.ts';
import { runTimed } from '../schedule/timed.ts';
import { SvmExit } from './exit.ts';
import type { GuestContext } from './guest.ts';
import {
  clgi,
  cpuid,
  invlpga,
  invlpgb,
  stgi,
  tlbsync,
  vmload,
  vmptrld,
  vmrun,
  vmsave,
} from './instruction.ts';
import { Machine } from './machine.ts';
import { amdMilan } from './preset/amd-milan.ts';
import { asidWord, NESTED_PAGING, TlbControl, V_GIF_ENABLE, Vmcb, vmcbAt } from './vmcb.ts';

const FRAME = 4096;
const BLOCKS = [20, 21];
const ROOTS = [30, 40];
/** Where guest page 0 lies under each root. */
const PAGES = [50, 51];

interface Rig {
  readonly machine: Machine;
  readonly guests: readonly GuestContext[];
  readonly flushes: () => number;
}

/** Two guests whose page 0 lies in different frames, under ASIDs of the test's choice. */
function rig(asids: readonly number[], cpus = 1): Rig {
  let flushes = 0;
  const trace = {
    event(kind: number): void {
      if (kind === Event.flush) flushes++;
    },
  };
  const machine = new Machine({ preset: amdMilan, cpus, trace });
  const { memory, translator } = machine;
  const format = translator.secondStage;
  const rights = { read: true, write: true, execute: true, user: true };
  ROOTS.forEach((root, i) => {
    let table = root;
    for (let level = format.geometry.levels - 1; level > 0; level--) {
      const { lo, hi } = format.table(table + 1);
      memory.writeHalves(table * FRAME, lo, hi);
      table++;
    }
    const leaf = format.leaf({ pfn: PAGES[i]!, level: 0, rights, accessed: true, dirty: true });
    memory.writeHalves(table * FRAME, leaf.lo, leaf.hi);
    memory.write(PAGES[i]! * FRAME, 100 + i);
    const put = (field: number, value: number) => memory.write(vmcbAt(BLOCKS[i]!, field), value);
    put(Vmcb.asid, asidWord(asids[i]!, TlbControl.none));
    put(Vmcb.nestedControl, NESTED_PAGING);
    put(Vmcb.nestedCr3, root * FRAME);
    put(Vmcb.rip, 0x1000);
  });
  const guests = BLOCKS.map((_, i) => machine.guest(1, `guest.${i}`));
  return { machine, guests, flushes: () => flushes };
}

function ask(machine: Machine, block: number, control: number): void {
  const at = vmcbAt(block, Vmcb.asid);
  machine.memory.write(at, asidWord(machine.memory.read(at) % 2 ** 32, control));
}

/** Reads its word 0 and leaves, for ever. */
function* reader(cpu: Context, seen: number[]): Routine<void> {
  for (;;) {
    seen.push(num(yield cpu.load(0, 'guest.read')));
    yield cpuid(cpu, 0, 'guest.leave');
  }
}

/** What the second guest reads after the first has run, with `between` in root mode. */
function secondReads(
  { machine, guests }: Rig,
  between: (me: Context) => Routine<void>,
): number | undefined {
  const seen: number[][] = [[], []];
  for (const [i, guest] of guests.entries()) guest.push(reader(guest, seen[i]!));
  machine.hostThread(0, 'host', function* host(me): Routine<void> {
    yield vmrun(me, BLOCKS[0]!, guests[0]!, 'test.first');
    yield* between(me);
    yield vmrun(me, BLOCKS[1]!, guests[1]!, 'test.second');
    for (const guest of guests) guest.kill();
  });
  runTimed(machine);
  expect(seen[0]).toEqual([100]);
  return seen[1]![0];
}

function* nothing(): Routine<void> {
  // straight on
}

describe('one ASID for two guests', () => {
  it('without a flush the second uses the frame of the first', () => {
    expect(secondReads(rig([1, 1]), nothing)).toBe(100);
  });

  it('ASIDs of their own keep them apart, without a flush', () => {
    const apart = rig([1, 2]);
    expect(secondReads(apart, nothing)).toBe(101);
    expect(apart.flushes()).toBe(0);
  });

  it.each(Object.entries(TlbControl).filter(([name]) => name !== 'none'))(
    'TLB_CONTROL %s (%i) of the VMRUN drops it',
    (_name, control) => {
      const same = rig([1, 1]);
      ask(same.machine, BLOCKS[1]!, control);
      expect(secondReads(same, nothing)).toBe(101);
      expect(same.flushes()).toBe(1);
    },
  );

  it('INVLPGA does not: it drops linear mappings, not nested ones', () => {
    const body = function* drop(me: Context): Routine<void> {
      yield invlpga(me, 0, 1, 'test.invlpga');
    };
    expect(secondReads(rig([1, 1]), body)).toBe(100);
  });

  it('INVLPGB and TLBSYNC do, here and on other CPUs, for their ASID only', () => {
    const dropping = (asid: number) =>
      function* drop(me: Context): Routine<void> {
        yield invlpgb(me, asid, 'test.invlpgb');
        yield tlbsync(me, 'test.tlbsync');
      };
    expect(secondReads(rig([1, 1]), dropping(1))).toBe(101);
    expect(secondReads(rig([1, 1]), dropping(2))).toBe(100);
    const two = rig([1, 1], 2);
    const far = two.machine.cpus[1]!.tlb;
    far.insert(far.space('guest-physical', 0, 0, 1), 7, 70, 15);
    secondReads(two, dropping(1));
    expect(far.lookup(far.space('guest-physical', 0, 0, 1), 7, 1)).toBe(-1);
  });
});

describe('VMRUN and #VMEXIT', () => {
  it('write exit code, information and the next instruction to the VMCB', () => {
    const { machine, guests } = rig([1, 2]);
    const [guest] = guests;
    const codes: number[] = [];
    guest!.push(
      (function* body(cpu): Routine<void> {
        yield cpuid(cpu, 0, 'guest.cpuid');
        yield cpu.store(3 * FRAME, 1, 'guest.write');
      })(guest!),
    );
    machine.hostThread(0, 'host', function* host(me): Routine<void> {
      for (let i = 0; i < 2; i++) {
        yield vmrun(me, BLOCKS[0]!, guest!, 'test.run');
        codes.push(me.read(vmcbAt(BLOCKS[0]!, Vmcb.exitCode)));
        if (i === 0) guest!.top.state = 'done';
      }
      guest!.kill();
    });
    runTimed(machine);
    const get = (field: number) => machine.memory.read(vmcbAt(BLOCKS[0]!, field));
    expect(codes).toEqual([SvmExit.cpuid, SvmExit.nestedPageFault]);
    // A user write to an absent page, of the final address.
    expect(get(Vmcb.exitInfo1)).toBe(2 ** 32 + 4 + 2);
    expect(get(Vmcb.exitInfo2)).toBe(3 * FRAME);
    expect(get(Vmcb.nextRip)).toBe(0x1003);
  });

  it('STGI, CLGI, VMLOAD, VMSAVE of a guest exit; the first two not with a virtual GIF', () => {
    const { machine, guests } = rig([1, 2]);
    const at = vmcbAt(BLOCKS[1]!, Vmcb.interruptControl);
    machine.memory.write(at, V_GIF_ENABLE);
    const codes: number[] = [];
    for (const guest of guests) {
      guest.push(
        (function* body(cpu): Routine<void> {
          yield clgi(cpu, 'guest.clgi');
          yield stgi(cpu, 'guest.stgi');
          yield vmload(cpu, 0, 'guest.vmload');
          yield vmsave(cpu, 0, 'guest.vmsave');
        })(guest),
      );
    }
    machine.hostThread(0, 'host', function* host(me): Routine<void> {
      for (const [i, exits] of [4, 2].entries()) {
        for (let n = 0; n < exits; n++) {
          yield vmrun(me, BLOCKS[i]!, guests[i]!, 'test.run');
          codes.push(me.read(vmcbAt(BLOCKS[i]!, Vmcb.exitCode)));
          if (n < exits - 1) guests[i]!.top.state = 'done';
        }
        guests[i]!.kill();
      }
    });
    runTimed(machine);
    const { clgi: c, stgi: s, vmload: l, vmsave: v } = SvmExit;
    expect(codes).toEqual([c, s, l, v, l, v]);
  });

  it('an instruction of the other vendor is none', () => {
    const { machine } = rig([1, 2]);
    machine.hostThread(0, 'host', function* host(me): Routine<void> {
      yield vmptrld(me, BLOCKS[0]!, 'test.vmptrld');
    });
    expect(() => runTimed(machine)).toThrow(/VMPTRLD: no instruction of this machine/);
  });
});
