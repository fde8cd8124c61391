/**
 * What the three planted designs share: KVM's TDP MMU as the built-in `tdp` composes it, with one
 * operation of the host replaced. `checked` is what `kpop check` asks for.
 */
import {
  AnonymousBacking,
  addVcpus,
  answerOwnerCalls,
  attachRcu,
  buildGuestVm,
  type Checked,
  type Conditions,
  checkedTdp,
  type Demand,
  handleViolation,
  hostExits,
  hostPlatform,
  type Machine,
  rangesOf,
  type System,
  slotsOf,
  startVcpus,
  TdpMmu,
  tableBytes,
  tdpOwner,
  tdpUnmap,
  type Vm,
} from 'kpop';

export type Operations = Checked['operations'];

export function composeTdp(
  machine: Machine,
  demand: Demand,
  conditions: Conditions,
  planted: (mmu: TdpMmu) => Operations,
): System {
  const platform = hostPlatform(machine);
  const vm: Vm = { name: 'guest', platform, vcpus: [] };
  const guest = buildGuestVm(machine, demand, 1);
  const mmu = new TdpMmu({
    vm,
    format: machine.translator.secondStage,
    backing: new AnonymousBacking(platform, slotsOf(guest.memory)),
    lockClass: 'l0.mmu',
    faultLock: 'read',
  });
  const exits = hostExits(handleViolation(mmu), answerOwnerCalls(tdpOwner(mmu)));
  const virtualIpis = conditions.apicv === 'on';
  addVcpus(vm, guest.contexts, { root: mmu.root, vpid: 1, virtualIpis }, exits);
  mmu.rcu = attachRcu(platform, [vm]);
  startVcpus(machine, vm);
  const checked = checkedTdp(machine, mmu, guest.memory);
  return {
    machine,
    environments: guest.environments,
    hostInvalidate: (cpu, gfns) => tdpUnmap(cpu, mmu, rangesOf(gfns), 'keep'),
    memory: () => ({ tableBytes: tableBytes(machine, mmu), bookBytes: 0 }),
    checked: { ...checked, operations: { ...checked.operations, ...planted(mmu) } },
  };
}
