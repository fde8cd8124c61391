/** Shapes that litmus programs of KPOP's L0 have. */
import type { GuestStep, HostStep, Litmus } from './litmus.ts';

const PAGES = 4;
const ONE = { first: 0, end: 1 };

/** One operation, or several by one thread. */
type Doing = HostStep | readonly HostStep[];

/** Two threads with calls of L1 or acts of the host, on one page and its neighbour. */
export function pair(
  id: string,
  title: string,
  source: string,
  hosts: readonly [Doing, Doing],
  rest: Pick<Litmus, 'sometimes' | 'mapped'> = {},
): Litmus {
  const threads = hosts.map((each) => ('do' in each ? [each] : each));
  return { id, title, source, pages: PAGES, guests: [], hosts: threads, ...rest };
}

/** A guest against the operations of one thread, on a page that is mapped. */
export function against(
  id: string,
  title: string,
  source: string,
  guest: readonly GuestStep[],
  operations: readonly HostStep[],
  sometimes: readonly string[],
): Litmus {
  const shared = { pages: PAGES, mapped: ONE, sometimes };
  return { id, title, source, guests: [guest], hosts: [operations], ...shared };
}

/** A guest and two operations, each on a CPU of its own: to a number of preemptions. */
export function three(
  id: string,
  title: string,
  source: string,
  guest: readonly GuestStep[],
  hosts: readonly [HostStep, HostStep],
  rest: Pick<Litmus, 'sometimes' | 'mapped'>,
): Litmus {
  const threads = hosts.map((one) => [one]);
  return { id, title, source, pages: PAGES, guests: [guest], hosts: threads, ...rest };
}
