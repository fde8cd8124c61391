/**
 * What the general L1 of explorations does to run its guest, on VMX and on SVM: the same few acts
 * (run L2, take another root, flush), by VMCS fields and INVEPT on one, by words of VMCB12 on the
 * other, where VMRUN flushes whatever TLB_CONTROL says (L0 gives L1 and L2 one ASID).
 */
import type { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { svm } from '../hypervisor/virt/svm.ts';
import { MANUAL_4 } from '../machine/format/format.ts';
import type { GuestContext } from '../machine/guest.ts';
import { enter, invept, inveptAll, invlpga, vmrun, vmwrite } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { Vmcb, vmcbAt } from '../machine/vmcb.ts';
import { EPTP_ACCESS_DIRTY, eptp, Field, fieldAt } from '../machine/vmcs.ts';
import { num, type Routine } from '../runtime/act.ts';

export interface L1Side {
  /** Runs L2 until it exits; false: L0 refuses the root. */
  run(cpu: GuestContext, l2: GuestContext): Routine<boolean>;
  /** The tables rooted in L1 page `gfn` from the next entry on; `flags`: of the EPTP. */
  setRoot(cpu: GuestContext, gfn: number, flags?: 'other flags'): Routine<void>;
  /** What L2 uses after the next entry is as of now. */
  flushAll(cpu: GuestContext): Routine<void>;
  /** The same for one root. */
  flushOne(cpu: GuestContext, gfn: number): Routine<void>;
  /** Address of the word that names L2's root, in L0's copy of L1's block or in its own for L2. */
  rootWord(frame: number): number;
  /** Content of that word. */
  rootText(gfn: number): number;
  /** L1 page of the block by which vCPU `i` runs its L2; 0 where nobody asks. */
  blockOf(i: number): number;
  /** Before anybody runs: writes that block. */
  installBlock(machine: Machine, backing: AnonymousBacking, i: number, root: number): void;
}

export const vmxL1: L1Side = {
  *run(cpu, l2): Routine<boolean> {
    return num(yield enter(cpu, l2, 'l1.enter')) === 0;
  },
  *setRoot(cpu, gfn, flags): Routine<void> {
    const without = flags === undefined ? 0 : EPTP_ACCESS_DIRTY;
    yield vmwrite(cpu, Field.eptp, eptp(gfn, MANUAL_4.levels) - without, 'l1.set-root');
  },
  *flushAll(cpu): Routine<void> {
    yield inveptAll(cpu, 'l1.flush');
  },
  *flushOne(cpu, gfn): Routine<void> {
    yield invept(cpu, gfn, 'l1.flush-one');
  },
  rootWord: (frame) => fieldAt(frame, Field.eptp),
  rootText: (gfn) => eptp(gfn, MANUAL_4.levels),
  blockOf: () => 0,
  installBlock: () => undefined,
};

/** L1 pages that no table and no page of L2 lies in. */
const BLOCKS = [7, 0];
/** EXITCODE of a VMRUN that was refused. */
const INVALID = 2 ** 32 - 1;
const TAG = 2;

export const svmL1: L1Side = {
  *run(cpu, l2): Routine<boolean> {
    const block = blockAt(cpu);
    yield vmrun(cpu, block, l2, 'l1.enter');
    return num(yield cpu.load(vmcbAt(block, Vmcb.exitCode), 'l1.exit-code')) !== INVALID;
  },
  *setRoot(cpu, gfn): Routine<void> {
    const at = vmcbAt(blockAt(cpu), Vmcb.nestedCr3);
    yield cpu.store(at, gfn * FRAME_BYTES, 'l1.set-root');
  },
  *flushAll(cpu): Routine<void> {
    yield invlpga(cpu, 0, TAG, 'l1.flush'); // of one linear page: the rest goes with VMRUN
  },
  *flushOne(cpu): Routine<void> {
    yield invlpga(cpu, 0, TAG, 'l1.flush-one');
  },
  rootWord: (frame) => vmcbAt(frame, Vmcb.nestedCr3),
  rootText: (gfn) => gfn * FRAME_BYTES,
  blockOf: (i) => BLOCKS[i] ?? 0,
  installBlock(machine, backing, i, root) {
    const gfn = BLOCKS[i];
    if (gfn === undefined) return;
    const frame = backing.peekFrame(machine.memory, gfn);
    const options = { root, levels: MANUAL_4.levels, vpid: TAG, virtualIpis: false };
    svm.writeBlock(machine.memory, frame, options);
  },
};

function blockAt({ seat }: GuestContext): number {
  return BLOCKS[seat]!;
}
