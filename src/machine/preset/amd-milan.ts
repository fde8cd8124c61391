/**
 * AMD EPYC of the third generation (Milan, Zen 3), as many sockets as the number of CPUs demands.
 * Distances between cores are those of an EPYC 7R13; cycles are of its base clock, 2.65 GHz. Frozen
 * by its hash since its first commit, as every preset.
 *
 * NUMBERS.md sections are named in each source; where only general knowledge exists ("R" there), or
 * nothing, the price is `assumed` and spans at least a factor of 4. No figure of part B is used.
 */
import { assumed, type Preset, published } from './price.ts';

const R = 'general knowledge (NUMBERS.md, confidence R)';
const NONE = 'no source';

export const amdMilan: Preset = {
  id: 'amd-milan',
  title: 'AMD EPYC Milan, 64 cores with 2 threads per socket in clusters of 8, 2.65 GHz',
  vendor: 'amd',
  hertz: 2.65e9,
  cpusPerSocket: 128,
  cpusPerCluster: 16,
  maxPhyBits: 48,
  levels: 4,
  tlb: { sets: 256, ways: 8, structures: 64 },
  leavesOut:
    'SMT siblings share nothing and are as far apart as cores; no capacity misses, no fabric or ' +
    'memory bandwidth contention, no predictor or buffer flushes of mitigations; no errata of ' +
    'AVIC doorbells; ASIDs never run out; whether INVLPGB reaches nested translations on every ' +
    'stepping is unverified; VMRUN loads all fields whatever the clean bits say',
  prices: {
    vmExit: assumed(
      400,
      170,
      690,
      'A1: pre-VMRUN to post-VMRUN 1344-1376 cycles with SEV-ES (its save area is larger, and ' +
        'the world switch around it is in there); half of the 800 that remain, the split is ours',
    ),
    vmEntry: assumed(400, 170, 690, 'A1: the other half of the raw VMRUN and #VMEXIT'),
    vmload: assumed(100, 50, 200, `${NONE} for VMLOAD alone: 20 words of hidden state`),
    vmsave: assumed(100, 50, 200, `${NONE} for VMSAVE alone: 20 words of hidden state`),
    globalInterruptFlag: assumed(30, 10, 60, `${NONE} for STGI and CLGI`),
    asidFlush: assumed(
      400,
      150,
      1200,
      `${NONE} for what TLB_CONTROL adds to VMRUN; INVPCID of everything is 300-1000 (A4, R)`,
    ),
    invlpga: assumed(200, 80, 400, `${NONE} for INVLPGA; INVLPG class`),
    invlpgb: assumed(
      300,
      100,
      1000,
      `${NONE} for the instruction; A4 has only a throughput of whole munmaps with it`,
    ),
    tlbsync: assumed(
      600,
      200,
      2400,
      `${NONE}; a round through the fabric to all cores, beyond the flight time of the broadcast`,
    ),
    exitDispatch: assumed(
      700,
      350,
      1400,
      `A1: CPUID or hypercall exit on Zen 2-4 1200-2000 cycles, ${R}, minus VMRUN, #VMEXIT, ` +
        'VMLOAD and VMSAVE; a lump that every exit of every design pays',
    ),
    invlpg: assumed(160, 80, 320, `A4: INVLPG 120-200 cycles, ${R}`),
    loadCr3: assumed(200, 100, 400, `A4: CR3 write with flush 200-300, without 100-200, ${R}`),
    ipiSend: assumed(200, 80, 400, 'A4: no source for the ICR write alone; x2APIC WRMSR class'),
    ipiSameSocket: assumed(
      1500,
      750,
      3000,
      `A4: send to handler entry 1000-2000 cycles, Intel, ${R}; none for AMD`,
    ),
    ipiCrossSocket: assumed(
      2250,
      1125,
      4500,
      `A4: cross socket adds 500-1000 cycles, Intel, ${R}; none for AMD`,
    ),
    lineSameCluster: published(
      61,
      56,
      66,
      'A6: core-to-core compare-and-swap 23 ns inside a CCX, EPYC 7R13 (core-to-core-latency)',
    ),
    lineSameSocket: published(
      265,
      244,
      284,
      'A6: 92-107 ns within a socket, 2 x EPYC 7R13 (core-to-core-latency CSV, NUMBERS.md D)',
    ),
    lineCrossSocket: published(
      527,
      517,
      538,
      'A6: 195-203 ns across sockets, 2 x EPYC 7R13 (core-to-core-latency CSV, NUMBERS.md D)',
    ),
    l1Hit: assumed(4, 2, 8, `A6: L1 4-5 cycles, Intel, ${R}; Zen is alike`),
    rmwLocal: assumed(14, 7, 28, `A6: uncontended locked operation 8-20 cycles on Zen, ${R}`),
    llcHit: assumed(45, 22, 90, `A6: L3 39-50 cycles inside a CCX, Zen 2-4, ${R}`),
    fence: assumed(14, 7, 28, 'a locked operation on a private line, as KVM uses for smp_mb'),
    walkReference: assumed(
      8,
      4,
      16,
      `A7: cached one-dimensional walk 20-40 cycles for up to 4 references, Intel, ${R}`,
    ),
    exception: assumed(500, 250, 1000, 'no source for #PF delivery plus IRET alone'),
    cpuid: assumed(100, 50, 200, 'native CPUID; only its exit matters here'),
    instruction: assumed(0.6, 0.3, 1.2, 'cycles per instruction of a cache-friendly program'),
    fieldCopied: assumed(5, 2, 10, 'a load and a store in L1, address computation'),
    controlChecked: assumed(4, 2, 8, 'a load, a mask and a branch'),
    listElement: assumed(8, 4, 16, 'decode and check of one 16-byte list element'),
    levelWalked: assumed(
      10,
      5,
      20,
      'one level of a radix tree in software, without its line transfer',
    ),
    instructionEmulated: assumed(
      800,
      400,
      1600,
      'A2: "emulated by exit 500-1000", low quality; KVM emulator decode and execute',
    ),
    pageAllocated: assumed(150, 75, 300, 'per-CPU page list hit; the same for every design'),
    objectAllocated: assumed(60, 30, 120, 'slab hit; the same for every design'),
    zeroPage: published(
      792,
      750,
      840,
      'A7: 13.7 GB/s in 4 KiB units (AMD Milan, folio-zero series v4), 0.299 us at 2.65 GHz',
    ),
    systemCall: assumed(
      138,
      69,
      276,
      `A8: SYSCALL and SYSRET 138 cycles on Zen 3 (EuroSys22), ${R}`,
    ),
    msr: assumed(
      100,
      50,
      200,
      'no source for RDMSR or WRMSR without an exit, to the virtual APIC or the timer either',
    ),
    guestTickWork: assumed(
      3000,
      1500,
      6000,
      'guest kernel timer interrupt: time, scheduler, timers; no source; the same for every design',
    ),
    copyPage: assumed(
      1060,
      265,
      2120,
      `A7: memcpy of 4 KiB 0.1-0.2 us cached, 0.4-0.8 us uncached, ${R}`,
    ),
    guestFaultWork: assumed(
      1000,
      500,
      2000,
      'guest kernel #PF path without its table edits; the same for every design',
    ),
  },
};
