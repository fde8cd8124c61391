/**
 * VM exits: basic exit reasons of the Intel SDM (vol. 3, appendix C), and what the processor
 * records about one. The guest-state area stays in the guest context; what a handler reads lies in
 * the VMCS.
 */

export const ExitReason = {
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
  msrRead: 31,
  msrWrite: 32,
  eptViolation: 48,
  eptMisconfig: 49,
  invept: 50,
  invvpid: 53,
} as const;

export const EXIT_NAMES: Readonly<Record<number, string>> = {
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
  31: 'MSR_READ',
  32: 'MSR_WRITE',
  48: 'EPT_VIOLATION',
  49: 'EPT_MISCONFIG',
  50: 'INVEPT',
  53: 'INVVPID',
};
