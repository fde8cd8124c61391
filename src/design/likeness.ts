/**
 * Counters of the protocols that all designs share, and what matters of them: an exploration takes
 * states for one that differ in nothing else.
 */
import { join } from '../base/bits.ts';
import type { Vcpu, Vm } from '../hypervisor/vcpu.ts';
import type { Likeness } from '../runtime/hart.ts';
import { isPast, type Rcu } from '../sync/rcu.ts';
import type { RwLock } from '../sync/rwlock.ts';

const HALF_BYTES = 4;

/** Of a VM's vCPUs, the RCUs whose first readers they are, and a lock. */
export function likenessesOf(vm: Vm, rcus: readonly Rcu[], lock: RwLock): Likeness[] {
  const { cpus } = vm.platform;
  return [
    ...vm.vcpus.map((v, i) =>
      modeOf(
        v,
        rcus.flatMap((rcu) => rcu.snapshotsOf(i, cpus)),
      ),
    ),
    ...vm.vcpus.map(callsOf),
    ticketsOf(lock.queue.at),
  ];
}

/**
 * Whether it is odd, and whether it has ended; RCU asks besides whether it has moved since it was
 * noted, or was odd then. That holds while whoever compares modes keeps the earlier one in one of
 * the snapshots: `Rcu.synchronize` keeps it in a variable, so no design that calls it may claim
 * this.
 */
function modeOf(v: Vcpu, snapshots: readonly number[]): Likeness {
  return {
    halves: [v.mode, ...snapshots].flatMap(halvesAt),
    meaning: ([low = 0, high = 0, ...then]) => {
      const now = join(low, high);
      const past = snapshots.map((_, i) => {
        return isPast(join(then[2 * i]!, then[2 * i + 1]!), now) ? 1 : 0;
      });
      return [low & 1, high, ...past];
    },
  };
}

/** Calls that were answered leave no trace: whoever waited for one of them waits no more. */
export function callsOf(v: Vcpu): Likeness {
  return {
    halves: [...halvesAt(v.called), ...halvesAt(v.answered)],
    meaning: (all) => (all[0] === all[2] && all[1] === all[3] ? [] : all),
  };
}

/**
 * A ticket lock that nobody waits for: which ticket is the next does not matter. Whoever holds it
 * has forgotten its own, and whoever waits for the ticket that is served now is the only one out.
 */
export function ticketsOf(at: number): Likeness {
  return {
    halves: halvesAt(at),
    meaning: (all) => {
      const [served = 0, next = 0] = all;
      return next - served <= 1 ? [-1, next - served] : all;
    },
  };
}

function halvesAt(at: number): number[] {
  return [at / HALF_BYTES, at / HALF_BYTES + 1];
}
