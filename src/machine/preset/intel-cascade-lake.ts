/**
 * Intel Cascade Lake server, 2 sockets or more as the number of CPUs demands, 2.5 GHz: the platform
 * of most published nested-virtualisation figures (PVM SOSP'23). Frozen by its hash since its first
 * commit: a later change names a source that is no validation target and raises `modelVersion`.
 *
 * Cycles are reference cycles at 2.5 GHz. NUMBERS.md sections are named in each source. Where only
 * general knowledge exists ("R" there) the price is `assumed` and spans at least a factor of 4.
 */
import { assumed, type Preset, published } from './price.ts';

const R = 'general knowledge (NUMBERS.md, confidence R)';

export const intelCascadeLake: Preset = {
  id: 'intel-cascade-lake',
  title: 'Intel Cascade Lake, 26 cores with 2 threads per socket, 2.5 GHz',
  vendor: 'intel',
  hertz: 2.5e9,
  cpusPerSocket: 52,
  maxPhyBits: 46,
  levels: 4,
  tlb: { sets: 128, ways: 12, structures: 32 },
  leavesOut:
    'SMT siblings share nothing and are as far apart as cores; no capacity misses, no mesh or ' +
    'memory bandwidth contention, no predictor or buffer flushes of mitigations',
  prices: {
    vmExit: published(
      240,
      220,
      260,
      'A1: raw exit+entry 441 (Gold 6252N) to 516 (Gold 6142M), half of the 480 between; ' +
        'the split is ours',
    ),
    vmEntry: published(240, 220, 260, 'A1: the other half of the raw exit+entry turnaround'),
    exitDispatch: published(
      670,
      650,
      700,
      'A1: trivial exit through KVM 1150 cycles (PVM SOSP23 table 1) minus the raw transition; ' +
        'a lump that every exit of every design pays',
    ),
    vmcsAccess: assumed(45, 20, 80, `A2: native VMREAD/VMWRITE 30-60 cycles, ${R}`),
    vmcsLoad: assumed(200, 75, 300, `A2: VMPTRLD 100-300 cycles, ${R}`),
    invept: assumed(450, 200, 800, `A4: INVEPT single-context 200-700 cycles, ${R}`),
    invvpid: assumed(300, 125, 500, `A4: INVVPID single-context 150-500 cycles, ${R}`),
    invlpg: assumed(160, 80, 320, `A4: INVLPG 120-200 cycles, ${R}`),
    loadCr3: assumed(200, 100, 400, `A4: CR3 write with flush 200-300, without 100-200, ${R}`),
    ipiSend: assumed(200, 80, 400, 'A4: no source for the ICR write alone; x2APIC WRMSR class'),
    ipiSameSocket: assumed(1500, 750, 3000, `A4: send to handler entry 1000-2000 cycles, ${R}`),
    ipiCrossSocket: assumed(2250, 1125, 4500, `A4: cross socket adds 500-1000 cycles, ${R}`),
    lineSameCluster: published(
      118,
      112,
      125,
      'A6: as lineSameSocket; a socket has one last-level cache and no clusters',
    ),
    lineSameSocket: published(
      118,
      112,
      125,
      'A6: core-to-core compare-and-swap 45-48 ns one way, Gold 6242 and 8275CL',
    ),
    lineCrossSocket: published(
      340,
      322,
      358,
      'A6: cross-socket 129-143 ns, 2 x Gold 6242 and 2 x 8275CL',
    ),
    l1Hit: assumed(4, 2, 8, `A6: L1 4-5 cycles, ${R}`),
    rmwLocal: assumed(20, 10, 40, `A6: uncontended locked operation 18-25 cycles on Intel, ${R}`),
    llcHit: assumed(56, 28, 112, `A6: LLC 20-25 ns, ${R}`),
    fence: assumed(20, 10, 40, 'a locked operation on a private line, as KVM uses for smp_mb'),
    walkReference: assumed(
      8,
      4,
      16,
      `A7: cached one-dimensional walk 20-40 cycles for up to 4 references, ${R}`,
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
      750,
      600,
      900,
      'A7: 13.7 GB/s in 4 KiB units (AMD Milan, folio-zero series v4), 0.30 us; no Intel source',
    ),
    systemCall: published(
      150,
      113,
      550,
      'A8: getpid on bare metal 0.06 us without page-table isolation, which this part does not ' +
        'need, 0.22 us with it (PVM SOSP23 table 2); low: SYSCALL and SYSRET alone',
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
      1000,
      250,
      2000,
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
