/**
 * What the author of a design imports from `kpop`: what a design is, the parts that the built-in
 * ones are composed of, the machine under them, and the built-in designs to derive from. An example
 * is examples/my-design.ts; `kpop run ./mine.ts --workload touch` runs a file of one's own.
 */

// Memory and locks of any level.
export { Arena } from './alloc/arena.ts';
export { type BootMemory, Frames } from './alloc/frames.ts';
export { Slab } from './alloc/slab.ts';
// Running a design from a program of one's own.
export { Defect, defect, Violation, violation } from './base/assert.ts';
export { BadInput } from './base/bad-input.ts';
export { hex, type View } from './check/invariant/view.ts';
// What a checker asks of a design.
export type { FramePool, StatePromise } from './check/promise.ts';

// Composition: guests, vCPUs, a guest hypervisor's platform.
export { buildGuestVm, type GuestVm } from './design/guest-vm.ts';
export {
  addVcpus,
  attachRcu,
  makeBlock,
  nothing,
  startVcpus,
} from './design/host.ts';
export { type Choice, chooseAxes, designs, parseDesign } from './design/index.ts';
// The built-in designs.
export { kpop } from './design/kpop.ts';
export { buildL1, type L1 } from './design/l1.ts';
export { nested } from './design/nested.ts';
// What a design is.
export type {
  Axes,
  Axis,
  Checked,
  Conditions,
  Demand,
  Design,
  Operation,
  System,
} from './design/system.ts';
export { hostPlatform } from './design/system.ts';
export {
  checkedTdp,
  hostExits,
  poolOf,
  rangesOf,
  slotsOf,
  tableBytes,
  tdp,
  tdpOwner,
} from './design/tdp.ts';
export { type Comparison, compare } from './experiment/compare.ts';
export { DEFAULT_CONDITIONS, runOne, type Task } from './experiment/run.ts';
// Parts of hypervisors.
export { AnonymousBacking } from './hypervisor/backing/anonymous.ts';
export { advance, emulateCpuid, ignoreInterrupt, retire } from './hypervisor/emulate.ts';
export { answerCalls, flushRemote } from './hypervisor/flush/request-kick.ts';
export {
  beginLookup,
  closeInvalidation,
  entryAt,
  type FaultOutcome,
  isStale,
  MmuWords,
  openInvalidation,
  type PageRange,
  type Stage2Fault,
} from './hypervisor/mmu/common.ts';
export { tdpFault } from './hypervisor/mmu/tdp/fault.ts';
export { TdpMmu, type TdpOptions } from './hypervisor/mmu/tdp/mmu.ts';
export { tdpRemoveTables } from './hypervisor/mmu/tdp/remove.ts';
export { handleViolation } from './hypervisor/mmu/tdp/violation.ts';
export { tdpUnmap } from './hypervisor/mmu/tdp/zap.ts';
export { answerCall, answerOwnerCalls, type Owner } from './hypervisor/owner.ts';
export type { Platform } from './hypervisor/platform.ts';
export { vcpuThread } from './hypervisor/run-loop.ts';
export {
  type ExitHandler,
  type ExitTable,
  isInGuest,
  REQUEST_FLUSH,
  Vcpu,
  type Vm,
} from './hypervisor/vcpu.ts';
export { virtOf } from './hypervisor/virt/index.ts';
export type { BlockOptions, Virtualisation } from './hypervisor/virt/virt.ts';
// The machine.
export { EXIT_NAMES, ExitReason } from './machine/exit.ts';
export { GuestContext } from './machine/guest.ts';
export * from './machine/instruction.ts';
export { Machine } from './machine/machine.ts';
export { FRAME_BYTES, Memory } from './machine/memory.ts';
export { DEFAULT_PRESET, findPreset, presets } from './machine/preset/index.ts';
export { type Preset, type Price, Unit } from './machine/preset/price.ts';
export { Field, fieldAt } from './machine/vmcs.ts';
export type { Compare, Run } from './measure/result.ts';
// The contract between code and schedulers: acts, contexts, words, events.
export { type Act, num, type Order, type Routine, type Word, won } from './runtime/act.ts';
export { Context } from './runtime/context.ts';
export { atomic, atomicLine, type Layout, layout, plain, plainLine } from './runtime/layout.ts';
export { Event, type TraceSink } from './runtime/trace.ts';
export { LOCK_CLASSES, type LockClass } from './sync/lock-class.ts';
export { Rcu } from './sync/rcu.ts';
export * from './sync/rwlock.ts';
export * from './sync/spinlock.ts';
export { parseWorkload, type Work, workloads } from './workload/index.ts';
export { type Recording, recordingOf } from './workload/recording.ts';
export type { Recordings } from './workload/workload.ts';
