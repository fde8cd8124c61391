/**
 * Intel's without EPT: hardware walks the tables that the hypervisor has put into CR3, and
 * translations carry the VPID, so INVVPID drops them.
 */
import type { BootMemory } from '../../alloc/frames.ts';
import { invvpid, invvpidAll } from '../../machine/instruction.ts';
import { Field, fieldAt } from '../../machine/vmcs.ts';
import type { Act } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Vcpu } from '../vcpu.ts';
import type { BlockOptions } from './virt.ts';
import { Vmx } from './vmx.ts';

class VmxWithoutEpt extends Vmx {
  override writeBlock(boot: BootMemory, block: number, options: BlockOptions): void {
    super.writeBlock(boot, block, options);
    boot.write(fieldAt(block, Field.eptp), 0);
  }

  override flushAll(cpu: Context, _v: Vcpu, label: string): Act {
    return invvpidAll(cpu, label);
  }

  override flushRoot(cpu: Context, v: Vcpu, _root: number, label: string): Act {
    return invvpid(cpu, cpu.read(fieldAt(v.own.block, Field.vpid)), label);
  }
}

export const vmxWithoutEpt = new VmxWithoutEpt();
