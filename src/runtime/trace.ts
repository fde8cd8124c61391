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
} as const;

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
