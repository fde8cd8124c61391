/**
 * Trace events: what happened, where and when. Every counter in a report is a count of these
 * events (DESIGN.md section 5), and the digest of a run is the hash of their order. Whoever emits
 * does not know who listens.
 */

export const Event = {
  /** A guest level left for L0: a = exit reason, b = level it came from. */
  exit: 0,
  /** L0 enters a guest: a = exit reason just handled, b = level entered. */
  entry: 1,
  /** An exit delivered to a level above L0: a = exit reason, b = receiving level. */
  nested: 2,
  /** A hypercall reached the hypervisor: a = operation. */
  hypercall: 3,
  /** An inter-processor interrupt was sent by hardware: a = target CPU, b = vector. */
  ipi: 4,
  /** This CPU executed an invalidation: a = kind, b = tag. */
  flush: 5,
  /** A page was zeroed: a = frame. */
  zero: 6,
  /** A page was copied: a = frame, b = bytes. */
  copy: 7,
  /** A lock was taken: a = lock class, b = 1 if it was not free at once. */
  acquire: 8,
  /** A lock was released: a = lock class. */
  release: 9,
  /** A program access that left the guest is complete: a = cycles from first try. */
  fault: 10,
  /** A program access that faulted inside the guest only: a = cycles from first try. */
  guestFault: 11,
  /** A program act defined by the workload is complete: a = how many. */
  operation: 12,
  /** The measured part begins: counters start here. */
  begin: 13,
  /** The measured part ends. */
  end: 14,
  /** A hypervisor returned to its user space: a = reason. */
  userspace: 15,
  /** A named step of a hypervisor: a = coverage mark. */
  mark: 16,
  /**
   * A lock is wanted: a = lock class. The next `acquire` of the class on this CPU ends the
   * wait.
   */
  want: 17,
  /** The exam goes into its next phase, as a tracing mark says: a = number of the phase. */
  phase: 18,
} as const;

/**
 * Tracepoints of KVM, by its own names. They say what software did in the words of the kernel's
 * `events/kvm` and `events/kvmmmu`, and change nothing. They are off unless somebody listens to
 * them, and belong to no count and no digest. Where an event has more fields than two, `more` comes
 * first, with the others.
 */
export const Tracepoint = {
  /** Fields of the next tracepoint on this CPU that do not fit into it. */
  more: 32,
  /** a = linear address, b = page-fault error code. */
  pagetableWalk: 33,
  /** a = low half of the guest's entry, b = high half * 8 + level (1 = 4 KiB). */
  pagingElement: 34,
  /** a = guest-physical address of the entry. */
  setAccessedBit: 35,
  setDirtyBit: 36,
  /** a = error code of the walk that the guest's tables refuse. */
  walkerError: 37,
  /** a = guest frame, b = role; more: a = root count, b = flags (`SP_NEW`, `SP_UNSYNC`). */
  getPage: 38,
  prepareZapPage: 39,
  syncPage: 40,
  unsyncPage: 41,
  /** a = guest frame * 8 + level, b = host frame. */
  spteRequested: 42,
  /** a = guest frame * 8 + level, b = host address of the entry; more: its two halves. */
  setSpte: 43,
  /** a = shadow pages in use. */
  zapAllFast: 44,
  /** a = vector, b = error code, or -1. */
  injException: 45,
  /**
   * a = instruction pointer, b = its length * 2, + 1 if it could not be emulated; more: its first
   * eight bytes.
   */
  emulateInsn: 46,
  /** a = port, b = value. */
  pio: 47,
  /** a = reason of the exit to user space. */
  userspaceExit: 48,
  /** A range of guest pages of one slot is unmapped by the host: a = first, b = end. */
  unmapRange: 49,
} as const;

/** Flags of a shadow page in its tracepoints. */
export const SP_NEW = 1;
export const SP_UNSYNC = 2;

export interface TraceSink {
  /** `cycle`: simulated time on `cpu`; the meaning of a and b is the event's. */
  event(kind: number, cpu: number, cycle: number, a: number, b: number): void;
}

/** Hands one stream of events to several listeners, in the order given. */
export function fanOut(sinks: readonly TraceSink[]): TraceSink {
  return {
    event(kind, cpu, cycle, a, b): void {
      for (const sink of sinks) sink.event(kind, cpu, cycle, a, b);
    },
  };
}
