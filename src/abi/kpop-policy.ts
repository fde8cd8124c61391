/**
 * KPOP's POLICY: which of L2's instructions L0 answers by itself, as one page that L1 publishes.
 * L0 copies the page, checks the copy and puts it in place of the version before; once the call has
 * returned, no exit of L2 that begins is answered by an older version.
 *
 * Source: the proposal of primer/x86.md 6.2 (POLICY) and 6.8. Words are below 2^53.
 * Leaves out: registers that are passed through (no level intercepts KERNEL_GS_BASE here, and there
 * is no bitmap to publish), subleafs and registers beyond EAX, which no instruction here names.
 */

/** The call; its one argument is the guest-physical address of the page. */
export const POLICY_CALL = 0x110;

/** Byte offsets in the page. */
export const PolicyPage = {
  /** Above that of the version before; 1 or more. */
  version: 0,
  /** Rows of CPUID results; of MSR classes. */
  cpuids: 8,
  msrs: 16,
  /** HLT_BY_L0 or 0. */
  flags: 24,
  rows: 64,
} as const;

/** A row of CPUID: leaf, what L0 patches, EAX, EBX, ECX, EDX, and two words that are 0. */
export const CPUID_ROW_BYTES = 64;
export const CpuidRow = { leaf: 0, patch: 8, eax: 16, ebx: 24, ecx: 32, edx: 40 } as const;
export const CPUID_LIMIT = 48;
/** EBX holds the vCPU's APIC id in its upper byte: L0 writes it. */
export const PATCH_APIC_ID = 1;

/** A row of MSRs: number and class. They follow the rows of CPUID. */
export const MSR_ROW_BYTES = 16;
export const MSR_LIMIT = 40;

export const MsrClass = {
  /** L1 answers. */
  exit: 0,
  /** A word of the vCPU's state page, which L1 reads and writes while L2 does not run. */
  shadow: 1,
  /** L0 does what the register is for: the three below. */
  emulate: 2,
} as const;

/** Registers of the x2APIC, and the deadline of its timer. */
export const MSR_ICR = 0x830;
export const MSR_EOI = 0x80b;
export const MSR_TSC_DEADLINE = 0x6e0;
export const EMULATED: readonly number[] = [MSR_ICR, MSR_EOI, MSR_TSC_DEADLINE];

/**
 * L0 waits in L2's HLT, within the RUN. Whoever has L0 wake its vCPUs, by ICR or deadline, must
 * have L0 put them to sleep: else L1 would wait for an interrupt that it never hears of.
 */
export const HLT_BY_L0 = 1;

/** Byte offset in the state page of the word of MSR row 0. */
export const SHADOW_MSRS = 3072;
