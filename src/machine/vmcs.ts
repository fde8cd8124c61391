/**
 * The VMCS as words in memory: one frame, one word per field. Hardware loads control fields from it
 * at VM entry and writes exit information to it at VM exit; software reaches it by VMREAD/VMWRITE.
 * Field names and groups: Intel SDM vol. 3, chapter 25 and appendix B; the shadowed set is the one
 * KVM shadows (primer/x86.md 4.1, `vmcs_shadow_fields.h`).
 *
 * Leaves out: field encodings, revision ids, the abort indicator; 16/32-bit widths (all words).
 */
import { FRAME_BYTES } from './memory.ts';

const CONTROL = [
  'eptp',
  'vpid',
  'pinControls',
  'procControls',
  'secondaryControls',
  'exitControls',
  'entryControls',
  'exceptionBitmap',
  'entryInterruption',
  'entryErrorCode',
  'entryInstructionLength',
  'tprThreshold',
  'cr0Mask',
  'cr4Mask',
  'cr0Shadow',
  'cr4Shadow',
  'tscOffset',
  'ioBitmapA',
  'ioBitmapB',
  'msrBitmap',
  'virtualApicPage',
  'apicAccessPage',
  'postedDescriptor',
  'pmlAddress',
  'pmlIndex',
  'preemptionTimer',
  'pageFaultMask',
  'pageFaultMatch',
  'msrExitStore',
  'msrExitLoad',
  'msrEntryLoad',
  'xssExitBitmap',
  'linkPointer',
  'tertiaryControls',
] as const;

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
const SEGMENT_FIELDS = SEGMENTS.flatMap((s) => [
  `guest.${s}.selector`,
  `guest.${s}.base`,
  `guest.${s}.limit`,
  `guest.${s}.rights`,
]);

const GUEST = [
  'guest.rip',
  'guest.rsp',
  'guest.rflags',
  'guest.cr0',
  'guest.cr3',
  'guest.cr4',
  'guest.dr7',
  'guest.efer',
  'guest.pat',
  'guest.debugctl',
  'guest.gdtr.base',
  'guest.gdtr.limit',
  'guest.idtr.base',
  'guest.idtr.limit',
  'guest.interruptibility',
  'guest.activity',
  'guest.pendingDebug',
  'guest.sysenter.cs',
  'guest.sysenter.esp',
  'guest.sysenter.eip',
  ...SEGMENT_FIELDS,
];

const HOST = [
  'host.cr0',
  'host.cr3',
  'host.cr4',
  'host.rip',
  'host.rsp',
  'host.efer',
  'host.pat',
  'host.fs.base',
  'host.gs.base',
  'host.tr.base',
  'host.gdtr.base',
  'host.idtr.base',
  'host.sysenter.cs',
  'host.sysenter.esp',
  'host.sysenter.eip',
  ...['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'tr'].map((s) => `host.${s}.selector`),
];

const EXIT = [
  'exit.reason',
  'exit.qualification',
  'exit.guestPhysical',
  'exit.guestLinear',
  'exit.interruption',
  'exit.interruptionError',
  'exit.idtVectoring',
  'exit.idtVectoringError',
  'exit.instructionLength',
  'exit.instructionInfo',
];

const ALL: readonly string[] = [...CONTROL, ...GUEST, ...HOST, ...EXIT];
const INDEX = new Map(ALL.map((name, i) => [name, i]));

/** Index of a field in the region; throws at load time for a name that does not exist. */
export function field(name: string): number {
  const at = INDEX.get(name);
  if (at === undefined) throw new Error(`vmcs.field: no field ${name}`);
  return at;
}

export function fieldName(index: number): string {
  return ALL[index] ?? `field ${index}`;
}

/** Address of a field in the region whose frame is `pfn`. */
export function fieldAt(pfn: number, index: number): number {
  return pfn * FRAME_BYTES + index * 8;
}

export const Groups = {
  control: CONTROL.map((name) => field(name)),
  guest: GUEST.map((name) => field(name)),
  host: HOST.map((name) => field(name)),
  exit: EXIT.map((name) => field(name)),
} as const;

/** Fields that L1 reads or writes without an exit when VMCS shadowing is on. */
const SHADOWED = new Set(
  [
    'guest.rip',
    'guest.rsp',
    'guest.rflags',
    'guest.cr0',
    'guest.cr3',
    'guest.cr4',
    'guest.cs.selector',
    'guest.cs.rights',
    'guest.ss.rights',
    'guest.es.base',
    'guest.cs.base',
    'guest.interruptibility',
    'guest.fs.base',
    'guest.gs.base',
    'procControls',
    'pinControls',
    'exceptionBitmap',
    'entryInterruption',
    'entryErrorCode',
    'entryInstructionLength',
    'tprThreshold',
    'cr0Mask',
    'cr0Shadow',
    'cr4Shadow',
    'pmlIndex',
    'preemptionTimer',
    'host.fs.base',
    'host.gs.base',
    'host.fs.selector',
    'host.gs.selector',
    ...EXIT,
  ].map(field),
);

export function isShadowed(index: number): boolean {
  return SHADOWED.has(index);
}

/** The shadowed fields in ascending order: what L0 copies between shadow and cached VMCS12. */
export const SHADOW_FIELDS: readonly number[] = [...SHADOWED].sort((a, b) => a - b);

/** Secondary control bit 17: page-modification logging. */
export const ENABLE_PML = 1 << 17;
/** EPTP bits 2:0 (write-back) and 6 (accessed and dirty flags), and of a 4-level walk 5:3. */
const EPTP_WRITE_BACK = 6;
export const EPTP_ACCESS_DIRTY = 1 << 6;
const MANUAL_LEVELS = 4;

/** EPTP of tables rooted in frame `root`; the flatter ones of explorations say that they have 4. */
export function eptp(root: number, levels: number): number {
  const walkLength = (Math.max(levels, MANUAL_LEVELS) - 1) << 3;
  return root * FRAME_BYTES + (EPTP_WRITE_BACK | EPTP_ACCESS_DIRTY | walkLength);
}

/** Tertiary control bit 4: IPI virtualisation (ICR writes post to siblings without an exit). */
export const IPI_VIRTUALISATION = 1 << 4;

export const Field = {
  eptp: field('eptp'),
  vpid: field('vpid'),
  procControls: field('procControls'),
  secondaryControls: field('secondaryControls'),
  pmlAddress: field('pmlAddress'),
  pmlIndex: field('pmlIndex'),
  linkPointer: field('linkPointer'),
  tertiaryControls: field('tertiaryControls'),
  entryInterruption: field('entryInterruption'),
  guestRip: field('guest.rip'),
  guestCr3: field('guest.cr3'),
  exitReason: field('exit.reason'),
  exitQualification: field('exit.qualification'),
  exitGuestPhysical: field('exit.guestPhysical'),
  exitGuestLinear: field('exit.guestLinear'),
  exitInterruption: field('exit.interruption'),
  exitInterruptionError: field('exit.interruptionError'),
  exitIdtVectoring: field('exit.idtVectoring'),
  exitInstructionLength: field('exit.instructionLength'),
  exitInstructionInfo: field('exit.instructionInfo'),
} as const;
