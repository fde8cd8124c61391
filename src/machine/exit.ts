/**
 * VM exits: basic exit reasons of the Intel SDM (vol. 3, appendix C) and exit codes of the AMD APM
 * (vol. 2, appendix C), and what the processor records about one. The guest-state area stays in the
 * guest context; what a handler reads lies in the VMCS or VMCB. No number of one vendor's is one of
 * the other's here, so one table names them all.
 */

export const ExitReason = {
  /** An exception, or an NMI: interruption information says which. */
  exception: 0,
  externalInterrupt: 1,
  cpuid: 10,
  hlt: 12,
  invlpg: 14,
  vmcall: 18,
  vmclear: 19,
  vmlaunch: 20,
  vmptrld: 21,
  vmread: 23,
  vmresume: 24,
  vmwrite: 25,
  crAccess: 28,
  io: 30,
  msrWrite: 32,
  eptViolation: 48,
  eptMisconfig: 49,
  invept: 50,
  invvpid: 53,
  pmlFull: 62,
} as const;

export const SvmExit = {
  interrupt: 0x60,
  cpuid: 0x72,
  hlt: 0x78,
  invlpg: 0x79,
  invlpga: 0x7a,
  msr: 0x7c,
  vmrun: 0x80,
  vmmcall: 0x81,
  vmload: 0x82,
  vmsave: 0x83,
  stgi: 0x84,
  clgi: 0x85,
  invlpgb: 0xa0,
  nestedPageFault: 0x400,
} as const;

export const EXIT_NAMES: Readonly<Record<number, string>> = {
  0: 'EXCEPTION_NMI',
  1: 'EXTERNAL_INTERRUPT',
  10: 'CPUID',
  12: 'HLT',
  14: 'INVLPG',
  18: 'VMCALL',
  19: 'VMCLEAR',
  20: 'VMLAUNCH',
  21: 'VMPTRLD',
  23: 'VMREAD',
  24: 'VMRESUME',
  25: 'VMWRITE',
  28: 'CR_ACCESS',
  30: 'IO_INSTRUCTION',
  32: 'MSR_WRITE',
  48: 'EPT_VIOLATION',
  49: 'EPT_MISCONFIG',
  50: 'INVEPT',
  53: 'INVVPID',
  62: 'PML_FULL',
  [SvmExit.interrupt]: 'INTR',
  [SvmExit.cpuid]: 'CPUID',
  [SvmExit.hlt]: 'HLT',
  [SvmExit.invlpg]: 'INVLPG',
  [SvmExit.invlpga]: 'INVLPGA',
  [SvmExit.msr]: 'MSR',
  [SvmExit.vmrun]: 'VMRUN',
  [SvmExit.vmmcall]: 'VMMCALL',
  [SvmExit.vmload]: 'VMLOAD',
  [SvmExit.vmsave]: 'VMSAVE',
  [SvmExit.stgi]: 'STGI',
  [SvmExit.clgi]: 'CLGI',
  [SvmExit.invlpgb]: 'INVLPGB',
  [SvmExit.nestedPageFault]: 'NPF',
};
