/** How far the litmus programs about logs, slots, and huge pages without X are looked at. */
import type { Goals } from './budgets.ts';

const ONCE: Goals = { tso: 1 };
/** A CPU's log, and the interrupts that empty it, multiply the states. */
const LOGGED: Goals = { tso: 2, unless: 'tdp:log=protect' };
/** A new root for the whole VM takes every vCPU more moves than all the rest. */
const NEW_ROOT: Goals = { tso: 1, unless: 'slot=range' };
/** Little happens where huge pages may be executed. */
const SMALL_PAGES: Goals = { tso: 'all', unless: 'nxhuge=on' };

export const TDP_GOALS: Readonly<Record<string, Goals>> = {
  'log-start-write': { tso: 'all', unless: 'tdp:log=protect' },
  'log-unmap': ONCE,
  'log-start-fault': LOGGED,
  'log-harvest-write': LOGGED,
  'log-harvest-fault': ONCE,
  'log-harvest-pages': LOGGED,
  'log-stop-write': ONCE,
  'log-huge-start': LOGGED,
  'log-huge-harvest': ONCE,
  'log-huge-stop': ONCE,
  'log-two-writers': ONCE,
  'log-invalidate': ONCE,
  'slot-delete-write': NEW_ROOT,
  'slot-delete-fault': NEW_ROOT,
  'slot-delete-stay': NEW_ROOT,
  'slot-delete-leave': NEW_ROOT,
  'slot-delete-keep': NEW_ROOT,
  'slot-move-write': NEW_ROOT,
  'slot-wrap': ONCE,
  'slot-add-write': { tso: 'all' },
  'slot-delete-unmap': { tso: 'all' },
  'slot-delete-two': ONCE,
  'slot-delete-unmap-write': ONCE,
  'nx-execute-execute': SMALL_PAGES,
  'nx-execute-fault': SMALL_PAGES,
  'nx-execute-write': SMALL_PAGES,
  'nx-recover-write': SMALL_PAGES,
  'nx-recover-execute': SMALL_PAGES,
  'nx-recover-remove': SMALL_PAGES,
  'nx-collapse-execute': SMALL_PAGES,
  'nx-recover-free': ONCE,
  'nx-execute-lost': ONCE,
};

/** Those that the plan leaves to `--deep` and to checks that name them. */
export const TDP_DEEP: readonly string[] = [
  'slot-delete-stay',
  'slot-delete-leave',
  'slot-delete-keep',
  'slot-move-write',
  'slot-move-invalidate',
  'slot-move-move',
  'slot-add-delete',
  'slot-delete-fault',
  'slot-wrap',
  'slot-delete-two',
  'slot-delete-unmap-write',
  'nx-execute-execute',
  'nx-execute-fault',
  'nx-execute-write',
  'nx-collapse-execute',
  'nx-recover-write',
  'nx-recover-free',
  'nx-recover-remove',
  'nx-execute-lost',
];
