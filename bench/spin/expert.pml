/*
 * What one who knows Spin would write: words are cut down to what anybody looks at, and acts are
 * joined where joining loses nothing. An act is joined to its neighbour only if one of them
 * commutes with whatever others can do in between (Lipton); the comments say which.
 *
 * - Mode, requests: the bits that are read. One call is open per vCPU, since the lock is held until
 *   it is answered: called and answered are one bit, set and cleared.
 * - A frame that is freed becomes STALE where it is cached, so that its name can serve again.
 * - Leaving guest mode and run.outside are one: in between, only less could be cached.
 * - The lock is one statement; kpop's queue of writers is not modelled.
 * - VMREADs, the VMCS load and the entry itself touch nothing that others see: no statements.
 * - An interrupt stays in flight until it is taken: whether it is held back by the wire or by the
 *   mask makes no difference to anybody.
 */
byte entry;        /* the page's leaf entry: 0, or its frame, 1 to U */
byte used;         /* a bit for each frame */
byte cached[A];    /* what the TLB may hold beside the present entry: a bit for each frame */
bit held, mode[A], request[A], interrupt[A], running[A];
byte asked;        /* a bit for every vCPU whose answer is awaited */

#define V (_pid - U)
#define BIT(n) (1 << (n))
#define STALE BIT(7) /* no frame has this number, and none has 0 */

/* The TLB of a vCPU may have seen the entry while the guest ran. */
#define REMEMBER(vcpu) \
  if \
  :: entry != 0 -> cached[vcpu] = cached[vcpu] | BIT(entry) \
  :: else \
  fi

/* The lowest unused name: U - 1 others hold one at most. */
inline takeFrame() {
  f = 1;
  do
  :: used & BIT(f) -> f++
  :: else -> break
  od
  used = used | BIT(f);
  entry = f
}

inline clear() {
  do
  :: v < A -> if :: running[v] -> REMEMBER(v) :: else fi; v++
  :: else -> break
  od
  v = 0;
  entry = 0
}

inline freeFrame() {
  v = 0;
  do
  :: v < A ->
    if
    :: cached[v] & BIT(frame) -> cached[v] = cached[v] & ~BIT(frame) | STALE
    :: else
    fi
    v++
  :: else -> break
  od
  used = used & ~BIT(frame);
  frame = 0;
  v = 0
}

active [U] proctype Unmapper() {
  byte round, frame, v;
end:
  do
  :: d_step { /* shootdown.map */
      round < R ->
      round++;
      byte f;
      if :: entry == 0 -> takeFrame() :: else fi;
      f = 0
    }
    if /* taking a lock commutes to the right, releasing it to the left */
    :: d_step { !held && entry == 0 } /* tdp.unmap.lock, tdp.zap.look-leaf, tdp.unmap.unlock */
    :: d_step { /* tdp.unmap.lock, tdp.zap.look-leaf, tdp.zap.clear */
        !held && entry != 0 -> held = 1; frame = entry; CLEAR(clear())
      };
      do
      :: v < A ->
        REQUEST(request[v] = 1); /* flush.request */
        d_step { /* flush.mode; flush.call is the holder's alone; flush.kick commutes to the left */
          if
          :: mode[v] -> asked = asked | BIT(v); KICK(interrupt[v] = 1)
          :: else
          fi
          v++
        }
      :: d_step { v == A && WAIT(asked == 0) -> held = 0 }; /* flush.wait, tdp.unmap.unlock */
        d_step { freeFrame() }; /* shootdown.free */
        break
      od
    fi
  od
}

/* Taking the interrupt clears what only its sender set, who waits. */
#define TAKE d_step { interrupt[V] -> interrupt[V] = 0; ANSWER(asked = asked & ~BIT(V)) }

#define leaveGuest() running[V] = 0; REMEMBER(V); IN_GUEST(mode[V] = 0)

active [A] proctype Vcpu() {
  byte at;
outside:
  if
  :: TAKE; goto outside       /* call.look, call.answer */
  /* a request stays until its own vCPU takes it; the TLB is its own */
  :: d_step { request[V] -> request[V] = 0; FLUSH(cached[V] = 0) } /* run.requests to run.flush */
  :: !request[V]              /* run.requests */
  fi
ready:
  if
  :: TAKE; goto ready
  :: IN_GUEST(mode[V] = 1)    /* run.in-guest */
  fi
  if /* run.recheck */
  :: d_step { RECHECKED(request[V]) -> mode[V] = 0 }; goto outside /* run.outside */
  :: d_step { !RECHECKED(request[V]) -> running[V] = 1 } /* run.enter */
  fi
  do
  :: d_step { /* run.outside, call.look, call.answer: who reads the mode waits for the answer */
      interrupt[V] -> interrupt[V] = 0; ANSWER(asked = asked & ~BIT(V)); leaveGuest()
    };
    goto outside
  :: d_step { IS_STORE(at) && entry != 0 -> assert(used & BIT(entry)); at++ } /* guest.write */
  :: d_step {
      IS_STORE(at) && (cached[V] & ~BIT(entry)) != 0 -> assert(!(cached[V] & STALE)); at++
    }
  :: d_step { IS_STORE(at) && entry == 0 -> at++; running[V] = 0 };
    IN_GUEST(mode[V] = 0);    /* run.outside */
    goto outside
  :: d_step { IS_CPUID(at) -> at++; leaveGuest() }; goto outside /* guest.leave, run.outside */
  :: d_step { at == STEPS -> at++; leaveGuest() }; break /* guest.done, run.outside */
  od
end:
  do
  :: TAKE
  od
}
