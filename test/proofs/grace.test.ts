/** Found by proof a: a vCPU thread that frees many tables must not wait for itself. */
import { expect, test } from 'vitest';
import { OwnerCall } from '../../src/abi/owner.ts';
import { premap } from '../../src/hypervisor/mmu/tdp/premap.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { vmcall } from '../../src/machine/instruction.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { runTimed } from '../../src/schedule/timed.ts';
import { buildPair } from './pair.ts';
import { mappedFrames } from './promises.ts';

/** 8 entries in a table; a root entry serves 512 leaf tables, each of which maps one page. */
const GEOMETRY = { levels: 5, indexBits: 3 };
const SPAN = 8 ** 4;

test.each([1, 2])('rcu: %i vCPUs free more tables than a batch holds', (vcpus) => {
  const remove = function* remove(cpu: GuestContext): Routine<void> {
    yield vmcall(cpu, OwnerCall.removeTables, [cpu.seat * SPAN, SPAN], 'guest.remove');
    yield vmcall(cpu, OwnerCall.done, [], 'guest.done');
  };
  const pair = buildPair({
    geometry: GEOMETRY,
    pages: vcpus * SPAN,
    pool: 8192,
    guests: Array.from({ length: vcpus }, () => remove),
    owners: [],
  });
  for (let gfn = 0; gfn < vcpus * SPAN; gfn += 8) {
    premap(pair.machine.memory, pair.mmu, { first: gfn, end: gfn + 1 });
  }
  expect(runTimed(pair.machine).stuck).toEqual([]);
  expect(mappedFrames(pair).size).toBe(0);
});
