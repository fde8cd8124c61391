/**
 * Proof d: an L1 hypervisor is the same run loop over its own memory view. Its loads and stores
 * fault in L0's second stage, its VMPTRLD, VMRESUME, VMREAD and INVEPT are exits, and all of them
 * fall into one switch in L0, which is the same run loop again.
 */
import { expect, test } from 'vitest';
import { OwnerCall } from '../../src/abi/owner.ts';
import { Arena } from '../../src/alloc/arena.ts';
import { Frames } from '../../src/alloc/frames.ts';
import { addVcpus, nothing, startVcpus } from '../../src/design/host.ts';
import { AnonymousBacking } from '../../src/hypervisor/backing/anonymous.ts';
import { retire } from '../../src/hypervisor/emulate.ts';
import { TdpMmu } from '../../src/hypervisor/mmu/tdp/mmu.ts';
import { handleViolation } from '../../src/hypervisor/mmu/tdp/violation.ts';
import type { Platform } from '../../src/hypervisor/platform.ts';
import { vcpuThread } from '../../src/hypervisor/run-loop.ts';
import { type ExitHandler, Vcpu, type Vm } from '../../src/hypervisor/vcpu.ts';
import { vmx } from '../../src/hypervisor/virt/vmx.ts';
import { ExitReason } from '../../src/machine/exit.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { invept, vmcall } from '../../src/machine/instruction.ts';
import { Machine } from '../../src/machine/machine.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { Field } from '../../src/machine/vmcs.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { Event, type TraceSink } from '../../src/runtime/trace.ts';
import { runTimed } from '../../src/schedule/timed.ts';

const L1_PAGES = 64;
/** A page of L1's that nobody has touched. */
const FRESH = 50;

function platformOf(machine: Machine, name: string, base: number, pool: number): Platform {
  const arena = new Arena(base, pool);
  const frames = new Frames(arena, { base: pool, limit: pool + 256 }, 1);
  return { name, arena, frames, cpus: 1, boot: machine.memory, virt: vmx };
}

/** L1: the product's run loop over memory that L0 may take away; L2 always says HLT at once. */
function* l1Body(machine: Machine, cpu: GuestContext): Routine<void> {
  const platform = platformOf(machine, 'l1', 1, 32);
  const vm: Vm = { name: 'l2', platform, vcpus: [] };
  const l2 = machine.guest(2, 'l2');
  l2.push(nothing());
  let exits = 0;
  const onHalt: ExitHandler = function* halt(me): Routine<void> {
    if (++exits === 2) return l2.kill();
    yield me.store(FRESH * 4096, 7, 'l1.fresh-page');
    yield invept(me, 3, 'l1.invept');
  };
  const own = { guest: l2, block: 40, exits: new Map([[ExitReason.hlt, onHalt]]) };
  yield* vcpuThread(cpu, new Vcpu(vm, 0, 0, own), nothing());
  yield vmcall(cpu, OwnerCall.done, [], 'l1.done');
}

/** L0's answers: an emulated entry comes back with HLT; the rest is retired. */
function l0Exits(mmu: TdpMmu): Map<number, ExitHandler> {
  const done: ExitHandler = (cpu, v) => retire(cpu, v, 0);
  return new Map<number, ExitHandler>([
    [ExitReason.eptViolation, handleViolation(mmu)],
    [ExitReason.vmptrld, done],
    [ExitReason.vmresume, done],
    [ExitReason.invept, done],
    [
      ExitReason.vmread,
      (cpu, v) => {
        const field = v.active.guest.top.act.at;
        return retire(cpu, v, field === Field.exitReason ? ExitReason.hlt : 0);
      },
    ],
    [
      ExitReason.vmcall,
      function* end(_cpu, v): Routine<void> {
        v.active.guest.kill();
      },
    ],
  ]);
}

test('nesting: each privileged act and each missing page of L1 falls into one switch', () => {
  const reasons: number[] = [];
  const trace: TraceSink = {
    event: (kind, _cpu, _cycle, a, level) => {
      if (kind === Event.exit) reasons.push(a);
      if (kind === Event.exit) expect(level).toBe(1);
    },
  };
  const machine = new Machine({ preset: intelCascadeLake, cpus: 1, trace });
  const platform = platformOf(machine, 'l0', 1, 64);
  const vm: Vm = { name: 'l1', platform, vcpus: [] };
  const mmu = new TdpMmu({
    vm,
    format: machine.translator.secondStage,
    backing: new AnonymousBacking(platform, [{ base: 0, pages: L1_PAGES }]),
    lockClass: 'l0.mmu',
    faultLock: 'read',
  });
  const l1 = machine.guest(1, 'l1');
  l1.seat = 0;
  l1.push(l1Body(machine, l1));
  addVcpus(vm, [l1], { root: mmu.root, vpid: 1, virtualIpis: false }, l0Exits(mmu));
  startVcpus(machine, vm);
  expect(runTimed(machine).stuck).toEqual([]);
  const { eptViolation, vmptrld, vmresume, vmread, invept: flush, vmcall: call } = ExitReason;
  expect(reasons).toEqual([
    eptViolation, // L1 reads its own request word: its page is not there yet, then it is
    vmptrld,
    vmresume,
    vmread, // exit reason
    vmread, // IDT vectoring
    eptViolation, // the store to a fresh page
    flush,
    vmresume,
    vmread,
    vmread,
    call,
  ]);
});
