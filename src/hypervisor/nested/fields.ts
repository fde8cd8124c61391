/**
 * Which VMCS fields L0 moves at a nested entry and exit. The lists decide what nesting costs in
 * software: each element is one field copied, each copy to or from a VMCS one VMREAD or VMWRITE.
 *
 * Source: arch/x86/kvm/vmx/nested.c, prepare_vmcs02 (hot and rare parts), sync_vmcs02_to_vmcs12
 * (hot part), load_vmcs12_host_state; facts.
 */
import { field, fieldName, Groups, SHADOW_FIELDS } from '../../machine/vmcs.ts';

/** From the cached VMCS12 to the shadow VMCS, at each exit. */
export const SHADOWED: readonly number[] = SHADOW_FIELDS;

/** Back from it at each entry: exit information is read-only to L1. */
export const SHADOWED_WRITABLE: readonly number[] = SHADOW_FIELDS.filter(
  (index) => !Groups.exit.includes(index),
);

/** VMCS12 to VMCS02 at every entry. */
export const ENTRY_ALWAYS: readonly number[] = [
  'guest.rip',
  'guest.rsp',
  'guest.rflags',
  'guest.cr0',
  'guest.cr3',
  'guest.cr4',
  'guest.efer',
  'guest.cs.rights',
  'guest.ss.rights',
  'guest.interruptibility',
  'guest.activity',
  'guest.debugctl',
  'guest.dr7',
  'procControls',
  'pinControls',
  'secondaryControls',
  'entryControls',
  'exitControls',
  'exceptionBitmap',
  'entryInterruption',
  'entryErrorCode',
  'entryInstructionLength',
  'tprThreshold',
  'cr0Shadow',
  'cr4Shadow',
  'tscOffset',
].map(field);

/** VMCS12 to VMCS02 only after L1 wrote a field outside the shadowed set. */
export const ENTRY_RARE: readonly number[] = Groups.guest.filter((f) => !ENTRY_ALWAYS.includes(f));

/** VMCS02 to VMCS12 at every exit that L1 sees. */
export const EXIT_ALWAYS: readonly number[] = [
  ...[
    'guest.rip',
    'guest.rsp',
    'guest.rflags',
    'guest.cr0',
    'guest.cr3',
    'guest.cr4',
    'guest.cs.rights',
    'guest.ss.rights',
    'guest.interruptibility',
    'guest.activity',
    'guest.pendingDebug',
    'guest.debugctl',
    'entryInterruption',
    'preemptionTimer',
  ].map(field),
  ...Groups.exit,
];

/** VMCS12's host state becomes L1's guest state in VMCS01: which field becomes which. */
export const HOST_STATE: readonly number[] = Groups.host;
export const HOST_STATE_INTO: readonly number[] = HOST_STATE.map((index) =>
  field(fieldName(index).replace('host.', 'guest.')),
);

/** Controls and state fields that software checks before it enters. */
export const CHECKS = Groups.control.length + Groups.host.length + ENTRY_ALWAYS.length;
