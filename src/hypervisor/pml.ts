/**
 * Page-modification logging as each vCPU's thread handles it: the CPU notes guest pages whose dirty
 * bit it sets in a buffer of the vCPU's, counting an index down; the thread moves them into the
 * slots' bitmaps after every exit. A full buffer is an exit of its own, which needs nothing more.
 *
 * Source: arch/x86/kvm/vmx/vmx.c, vmx_flush_pml_buffer and vmx_update_cpu_dirty_logging (facts).
 */
import { vmptrld, vmread, vmwrite } from '../machine/instruction.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { Unit } from '../machine/preset/price.ts';
import { ENABLE_PML, Field, fieldAt } from '../machine/vmcs.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { Memslots } from './memslots.ts';
import type { Platform } from './platform.ts';
import type { Vcpu, VcpuLogging, Vm } from './vcpu.ts';

/**
 * Gives every vCPU a buffer that holds `entries` pages before it is full: all that the manual
 * allows unless a small program under exploration is to fill it.
 */
export function pmlLogging(
  platform: Platform,
  vm: Vm,
  slots: Memslots,
  { entries = FRAME_BYTES / 8 }: { readonly entries?: number } = {},
): VcpuLogging {
  const buffers = vm.vcpus.map(({ own }) => makeBuffer(platform, own.block, entries));
  return {
    *update(cpu: Context, v: Vcpu): Routine<void> {
      if (v.loaded !== v.own.block) {
        yield vmptrld(cpu, v.own.block, 'pml.load-vmcs');
        v.loaded = v.own.block;
      }
      const logs = yield* slots.anyLogs(cpu);
      const others = num(yield vmread(cpu, Field.secondaryControls, 'pml.controls')) & ~ENABLE_PML;
      yield vmwrite(cpu, Field.secondaryControls, others | (logs ? ENABLE_PML : 0), 'pml.switch');
      v.logs = logs;
    },
    *drain(cpu: Context, v: Vcpu): Routine<void> {
      yield* drainBuffer(cpu, buffers[v.index]!, function* note(gfn): Routine<void> {
        if (yield* slots.logs(cpu, gfn)) yield* slots.mark(cpu, gfn);
      });
    },
  };
}

/** A buffer of a control block: where it lies, and the index while it is empty. */
export interface PmlBuffer {
  readonly at: number;
  readonly start: number;
}

/** Gives a control block a buffer with room for `entries` pages. */
export function makeBuffer(platform: Platform, block: number, entries: number): PmlBuffer {
  const buffer = platform.arena.frames(1);
  const start = entries - 1;
  platform.boot.write(fieldAt(block, Field.pmlAddress), buffer * FRAME_BYTES);
  platform.boot.write(fieldAt(block, Field.pmlIndex), start);
  return { at: buffer * FRAME_BYTES, start };
}

/** Before anybody runs: the CPU logs modified pages from the first entry on. */
export function switchOn({ boot }: Platform, block: number): void {
  const controls = fieldAt(block, Field.secondaryControls);
  boot.write(controls, boot.read(controls) | ENABLE_PML);
}

/** Empties the buffer of the control block that is loaded. */
export function* drainBuffer(
  cpu: Context,
  { at, start }: PmlBuffer,
  note: (gfn: number) => Routine<void>,
): Routine<void> {
  // Points at the next free entry; it wraps when the last one is used.
  const index = num(yield vmread(cpu, Field.pmlIndex, 'pml.index'));
  if (index === start) return;
  for (let i = index > start ? 0 : index + 1; i <= start; i++) {
    cpu.spend(Unit.listElement, 1);
    yield* note(cpu.read(at + i * 8) / FRAME_BYTES);
  }
  yield vmwrite(cpu, Field.pmlIndex, start, 'pml.reset');
}

/** A full log: the exit has emptied it. */
export function* ignorePmlFull(_cpu: Context, _v: Vcpu): Routine<void> {
  // the guest tries again
}
