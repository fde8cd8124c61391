/**
 * A design of one's own: KVM's TDP MMU, except that one fault maps a whole aligned block of pages
 * ("fault-around"), under the mmu_lock held as `lock` says. Try it beside the built-in one:
 *
 *   kpop compare tdp ./examples/my-design.ts ./examples/my-design.ts:around=16 --workload touch
 *   kpop check ./examples/my-design.ts --budget 60s
 *
 * A design only composes. What is new here is one exit handler; everything else is a part that
 * other designs are made of, too. Shared state would be words in simulated memory, never a
 * JavaScript object: `platform.arena` gives them out, and each access to one is a step (`yield`).
 */
import {
  AnonymousBacking,
  addVcpus,
  answerOwnerCalls,
  attachRcu,
  buildGuestVm,
  type Context,
  checkedTdp,
  type Design,
  type ExitHandler,
  FRAME_BYTES,
  handleViolation,
  hostExits,
  hostPlatform,
  num,
  type Routine,
  rangesOf,
  type System,
  slotsOf,
  startVcpus,
  TdpMmu,
  tableBytes,
  tdpFault,
  tdpOwner,
  tdpUnmap,
  type Vcpu,
  type Vm,
} from 'kpop';

const design: Design = {
  id: 'around',
  title: 'TDP MMU that maps a block of pages at each fault',
  axes: {
    around: { values: ['1', '4', '16'], default: '4', describe: 'pages of an aligned block' },
    lock: { values: ['read', 'write'], default: 'write', describe: 'how a fault holds the lock' },
  },
  source: 'examples/my-design.ts',
  leavesOut: ['memory that is mapped and never touched is not given back'],
  isolates: 'what fewer exits are worth when each of them does more',
  build(machine, demand, axes, conditions): System {
    const platform = hostPlatform(machine);
    const vm: Vm = { name: 'guest', platform, vcpus: [] };
    const guest = buildGuestVm(machine, demand, 1);
    const mmu = new TdpMmu({
      vm,
      format: machine.translator.secondStage,
      backing: new AnonymousBacking(platform, slotsOf(guest.memory)),
      lockClass: 'l0.mmu',
      faultLock: axes.lock === 'write' ? 'write' : 'read',
    });
    const violation = mapAround(mmu, Number(axes.around));
    const exits = hostExits(violation, answerOwnerCalls(tdpOwner(mmu)));
    const virtualIpis = conditions.apicv === 'on';
    addVcpus(vm, guest.contexts, { root: mmu.root, vpid: 1, virtualIpis }, exits);
    mmu.rcu = attachRcu(platform, [vm]);
    startVcpus(machine, vm);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) => tdpUnmap(cpu, mmu, rangesOf(gfns), 'keep'),
      memory: () => ({ tableBytes: tableBytes(machine, mmu), bookBytes: 0 }),
      checked: checkedTdp(machine, mmu, guest.memory),
    };
  },
};

export default design;

/** Maps the page that was touched, then the rest of its block; what is no memory stays absent. */
function mapAround(mmu: TdpMmu, pages: number): ExitHandler {
  const mapOne = handleViolation(mmu);
  return function* violation(cpu: Context, v: Vcpu): Routine<void> {
    const address = num(yield v.virt.faultAddress(cpu, v.active.block, 'around.where'));
    const touched = Math.floor(address / FRAME_BYTES);
    yield* mapOne(cpu, v);
    const first = touched - (touched % pages);
    for (let gfn = first; gfn < first + pages; gfn++) {
      if (gfn !== touched) yield* tdpFault(cpu, mmu, { gfn, access: 'write' });
    }
  };
}
