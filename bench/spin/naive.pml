/*
 * One statement for every act of the code, with its label behind it; words are as the code has
 * them, counters rise. src/hypervisor/run-loop.ts, flush/request-kick.ts, sync/rwlock.ts.
 */
byte entry;                /* the page's leaf entry: 0, or its frame */
int freed;                 /* a bit for each frame; none is used again */
byte lock;                 /* HELD and WAITING */
byte queueNext, queueServed;
byte mode[A], requests[A], called[A], answered[A];
byte inFlight[A], latched[A]; /* interrupts on their way, and arrived */
bool running[A];           /* in guest mode */
int cached[A];             /* what the TLB may hold beside the present entry: bits of frames */

#define HELD 1
#define WAITING 2

#define V (_pid - U)
#define BIT(frame) (1 << (frame))
#define NO_FRAME BIT(0)    /* the bit of "no entry", which is cached for nobody */

/* The TLB of a vCPU may have seen the entry while the guest ran. */
#define REMEMBER(vcpu) cached[vcpu] = (cached[vcpu] | BIT(entry)) & ~NO_FRAME

inline writeLock() { /* tdp.unmap.lock, all of them */
  d_step { won = (lock == 0); if :: won -> lock = HELD :: else fi }
  if
  :: won
  :: else ->
    d_step { ticket = queueNext; won = (ticket == queueServed); queueNext++ }
    if
    :: won
    :: else -> queueServed == ticket
    fi
    d_step { won = (lock == 0); if :: won -> lock = HELD :: else fi }
    if
    :: won
    :: else ->
      lock = lock | WAITING;
      do
      :: lock == WAITING ->
        d_step { won = (lock == WAITING); if :: won -> lock = HELD :: else fi }
        if :: won -> break :: else fi
      od
    fi
    queueServed = ticket + 1
  fi
}

inline clear() {
  v = 0;
  do
  :: v < A -> if :: running[v] -> REMEMBER(v) :: else fi; v++
  :: else -> break
  od
  v = 0;
  entry = 0
}

inline flushRemote() {
  v = 0;
  do
  :: v < A ->
    REQUEST(requests[v] = 1); /* flush.request */
    seen = mode[v];           /* flush.mode */
    if
    :: seen % 2 == 1 ->
      d_step { called[v]++; wanted[v] = called[v] } /* flush.call */
      KICK(inFlight[v]++)     /* flush.kick */
    :: else -> wanted[v] = 0
    fi
    v++
  :: else -> break
  od
  v = 0;
  do
  :: v < A && wanted[v] != 0 -> WAIT(answered[v] >= wanted[v]); v++ /* flush.wait */
  :: v < A && wanted[v] == 0 -> v++
  :: v == A -> break
  od
}

active [U] proctype Unmapper() {
  byte round, frame, ticket, seen, v;
  byte wanted[A];
  bool won;
  do
  :: round < R ->
    round++;
    d_step { if :: entry == 0 -> entry = _pid * R + round :: else fi } /* shootdown.map */
    writeLock();
    frame = entry;            /* tdp.zap.look-leaf */
    if
    :: frame != 0 ->
      d_step { CLEAR(clear()) }; /* tdp.zap.clear */
      flushRemote()
    :: else
    fi
    lock = lock - HELD;       /* tdp.unmap.unlock */
    if
    :: frame != 0 -> freed = freed | BIT(frame) /* shootdown.free */
    :: else
    fi
  :: else -> break
  od
}

/* Handler of the function call, on top of whatever ran. */
inline answerCalls() {
  latched[V]--;
  calls = called[V];          /* call.look */
  ANSWER(answered[V] = calls) /* call.answer */
}

/* An act of the host while interrupts are on: what has arrived goes first. */
#define unmasked(act) \
  do \
  :: latched[V] > 0 -> answerCalls() \
  :: d_step { latched[V] == 0 -> act }; break \
  od

inline retire() {
  unmasked(skip);             /* retire.length */
  unmasked(skip);             /* retire.rip */
  unmasked(at++)              /* retire.advance */
}

#define leaveGuest() running[V] = false; REMEMBER(V)

#define INTERRUPT 0
#define RETIRE 1
#define DONE 2

active [A] proctype Vcpu() {
  byte requested, calls, at, why;
  bool loaded;
  do
  :: at <= STEPS ->
    unmasked(requested = requests[V]); /* run.requests */
    if
    :: requested ->
      unmasked(requested = requests[V]; requests[V] = 0); /* run.take-requests */
      if
      :: requested -> unmasked(FLUSH(cached[V] = 0)) /* run.flush */
      :: else
      fi
    :: else
    fi
    if
    :: !loaded -> loaded = true /* run.load-vmcs */
    :: else
    fi
    IN_GUEST(mode[V]++);      /* run.in-guest */
    requested = RECHECKED(requests[V]); /* run.recheck */
    if
    :: requested -> IN_GUEST(mode[V]++) /* run.outside */
    :: else ->
      d_step { running[V] = (latched[V] == 0); why = INTERRUPT }; /* run.enter */
      do
      :: !running[V] -> break
      :: d_step { running[V] && IS_STORE(at) && entry != 0 -> /* guest.write, after a walk */
          assert((freed & BIT(entry)) == 0);
          at++
        }
      :: d_step { running[V] && IS_STORE(at) && (cached[V] & ~BIT(entry)) != 0 ->
          assert((freed & cached[V] & ~BIT(entry)) == 0); /* guest.write, by what is cached */
          at++
        }
      :: d_step { running[V] && IS_STORE(at) && entry == 0 -> why = RETIRE; leaveGuest() }
      :: d_step { running[V] && IS_CPUID(at) -> why = RETIRE; leaveGuest() } /* guest.leave */
      :: d_step { running[V] && at == STEPS -> why = DONE; leaveGuest() } /* guest.done */
      od
      IN_GUEST(mode[V]++);    /* run.outside */
      unmasked(skip);         /* run.reason */
      unmasked(skip);         /* run.idt-vectoring */
      if
      :: why == RETIRE -> retire()
      :: why == DONE -> at++
      :: else
      fi
    fi
  :: else -> break
  od
  unmasked(skip);             /* run.ended; the half of the word that says so is read by nobody */
end:
  do
  :: latched[V] > 0 -> answerCalls()
  od
}

/* Interrupts arrive when they like, and end guest mode. */
active [A] proctype Apic() {
end:
  do
  :: d_step { inFlight[V - A] > 0 ->
      inFlight[V - A]--;
      latched[V - A]++;
      if :: running[V - A] -> running[V - A] = false; REMEMBER(V - A) :: else fi
    }
  od
}
