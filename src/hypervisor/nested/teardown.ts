/**
 * The end of a VM that runs guests of its own: its vCPUs first, those that run L2 too, then the
 * shadow pages of its EPT12, then EPT01 and the pages, then what each vCPU kept for nesting.
 * Threads of the host that unmap ranges or remove tables meanwhile are kept out by the lock and
 * find nothing.
 *
 * Source: arch/x86/kvm: kvm_arch_flush_shadow_all, kvm_destroy_vcpus, free_nested (facts). Leaves
 * out: VMCLEAR of VMCS02 where it was loaded (a VMCS is not cached here), what CPUs keep at hand
 * for the VM, and the flush of EPT02's tags: no CPU enters under them again, and KVM flushes
 * whenever a frame becomes a root (kvm_mmu_load), as another VM may get it.
 */
import { type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { stopVcpus } from '../flush/stop.ts';
import { forgetTable } from '../mmu/shadow/zap-page.ts';
import { tdpDismantle } from '../mmu/tdp/teardown.ts';
import type { ShadowedVm } from './state.ts';

/** `begun`: a word, 0 until somebody tears the VM down. False if another thread does. */
export function* nestedTeardown(cpu: Context, vm: ShadowedVm, begun: number): Routine<boolean> {
  if (!won(yield cpu.cas(begun, 0, 1, 'nested.teardown.begin'))) return false;
  const { tdp } = vm;
  const { frames } = tdp.platform;
  yield* stopVcpus(cpu, tdp.vm);
  yield* writeLock(cpu, tdp.lock, 'nested.teardown.lock');
  const freed = yield* unshadowAll(cpu, vm);
  yield* writeUnlock(cpu, tdp.lock, 'nested.teardown.unlock');
  for (const frame of freed) frames.give(cpu, frame);
  yield* tdpDismantle(cpu, tdp);
  for (const { cached, shadowVmcs, vmcs02 } of vm.vcpus) {
    for (const frame of [cached, shadowVmcs, vmcs02]) frames.give(cpu, frame);
  }
  return true;
}

/** Under the lock: every SP goes, and with its last entry the reverse map of each page. */
function* unshadowAll(cpu: Context, { shadow }: ShadowedVm): Routine<number[]> {
  const freed: number[] = [];
  for (const { first, end } of shadow.memory) {
    for (let gfn = first; gfn < end; gfn++) {
      freed.push(...(yield* forgetTable(cpu, shadow, gfn)).frames);
    }
  }
  return freed;
}
