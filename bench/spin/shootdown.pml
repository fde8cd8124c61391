/*
 * The remote flush of kpop in Promela: who takes a page away clears its entry, sets a request on
 * every vCPU, looks at its mode, kicks it if it is in guest mode, waits for the answer, and only
 * then frees the frame. bench/shootdown.ts is the same scene with the product's own code.
 *
 *   U unmappers, each R rounds: map a fresh frame if the entry is empty, then unmap and free
 *   A vCPUs, each: S stores to the page with a CPUID between them, then a last hypercall
 *
 * Promise: no vCPU in guest mode uses a freed frame (an assertion at the use), and nobody waits
 * for ever (an invalid end state). A store for which there is no translation is dropped by the
 * exit handler. Memory is sequentially consistent. A TLB is as hostile as the manual allows: in
 * guest mode it may cache at any time, and it keeps what it has until it is flushed.
 *
 * naive.pml has a statement for every act of the code, named by its label; expert.pml (-DEXPERT)
 * is what one who knows Spin would write. -DDROP_<act> leaves an act out: a bad twin.
 * Frames are bits of an int and vCPUs bits of a byte: U * R < 31, U < 7, A <= 8.
 */
#ifndef U
#define U 1
#endif
#ifndef A
#define A 1
#endif
#ifndef R
#define R 1
#endif
#ifndef S
#define S 2
#endif

/* An act, or what is left if this twin drops it. */
#ifdef DROP_CLEAR
#define CLEAR(act) skip
#else
#define CLEAR(act) act
#endif
#ifdef DROP_REQUEST
#define REQUEST(act) skip
#else
#define REQUEST(act) act
#endif
#ifdef DROP_KICK
#define KICK(act) skip
#else
#define KICK(act) act
#endif
#ifdef DROP_WAIT
#define WAIT(condition) true
#else
#define WAIT(condition) (condition)
#endif
#ifdef DROP_IN_GUEST
#define IN_GUEST(act) skip
#else
#define IN_GUEST(act) act
#endif
#ifdef DROP_RECHECK
#define RECHECKED(requests) 0
#else
#define RECHECKED(requests) requests
#endif
#ifdef DROP_FLUSH
#define FLUSH(act) skip
#else
#define FLUSH(act) act
#endif
#ifdef DROP_ANSWER
#define ANSWER(act) skip
#else
#define ANSWER(act) act
#endif

/* What a guest does next: store, CPUID, store, …, and a last hypercall. */
#define STEPS (2 * S - 1)
#define IS_STORE(at) ((at) < STEPS && (at) % 2 == 0)
#define IS_CPUID(at) ((at) < STEPS && (at) % 2 == 1)

#ifdef EXPERT
#include "expert.pml"
#else
#include "naive.pml"
#endif
