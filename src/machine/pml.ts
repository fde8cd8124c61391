/** The log that a CPU keeps of guest pages whose dirty bit it sets. */
import type { Cpu } from './cpu.ts';
import type { Machine } from './machine.ts';
import { FRAME_BYTES } from './memory.ts';
import { Field } from './vmcs.ts';
import type { PageLog } from './walk-log.ts';

/** Entries of the log, and its index after the last of them was used. */
const PML_ENTRIES = FRAME_BYTES / 8;
const PML_WRAPPED = 0xffff;

/**
 * Page-modification logging (SDM vol. 3, 28.3.6): the buffer and the index, which counts down, are
 * those of the CPU's current VMCS.
 */
export class ModificationLog implements PageLog {
  cpu!: Cpu;
  readonly #m: Machine;

  constructor(machine: Machine) {
    this.#m = machine;
  }

  take(page: number): boolean {
    const { memory, lines } = this.#m;
    const { cpu } = this;
    const vmcs = memory.placeFrame(cpu.block);
    const index = memory.valueAt(vmcs + 2 * Field.pmlIndex);
    if (index >= PML_ENTRIES) return false;
    const at = memory.place(memory.valueAt(vmcs + 2 * Field.pmlAddress) + index * 8);
    cpu.now += lines.modify(cpu.id, at, cpu.now, false);
    memory.setValueAt(at, page * FRAME_BYTES);
    memory.setValueAt(vmcs + 2 * Field.pmlIndex, index === 0 ? PML_WRAPPED : index - 1);
    return true;
  }
}
