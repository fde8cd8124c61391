/**
 * Windows of KPOP: intents in bulk that L0 makes real at the first touch, against everything that
 * takes pages out of them.
 */
import { type HostStep, host, type Litmus, write } from './litmus.ts';

const PAGES = 4;
const open = host('window', 0, 2);
const FILLED = 'kpop.window.recheck';
const PUBLISH = 'kpop.window.publish';

type Threads = readonly (readonly HostStep[])[];

function windows(
  id: string,
  title: string,
  source: string,
  hosts: Threads,
  sometimes: readonly string[],
): Litmus {
  return { id, title, source, pages: PAGES, guests: [], hosts, sometimes };
}

const pairs: readonly Litmus[] = [
  windows(
    'window-open-unmap',
    'a WINDOW with an old epoch is under way while UNMAP of one of its pages returns',
    'K8 for every page of it: put there without effect, then the fences, then in effect',
    [[open], [host('unmap', 0)]],
    [PUBLISH, 'kpop.unmap.fence'],
  ),
  windows(
    'window-fill-unmap',
    'a page is filled from a window while it is unmapped',
    'K15: the array is looked at again under the lock',
    [[open, host('fill', 0)], [host('unmap', 0)]],
    [PUBLISH, FILLED],
  ),
  windows(
    'window-fill-part',
    'two pages are filled from a window while one of them is taken out of its middle',
    'primer/x86.md 6.3, windows: UNMAP of a part trims the array first',
    [[host('window', 0, 3), host('fill', 0), host('fill', 1)], [host('unmap', 1)]],
    [PUBLISH, FILLED],
  ),
  windows(
    'window-fill-protect',
    'a page is filled from a window while the right to write is taken away',
    'K14, K15 for rights',
    [[open, host('fill', 0)], [host('protect', 0)]],
    [PUBLISH, FILLED],
  ),
  windows(
    'window-fill-invalidate',
    'a page is filled from a window while the host takes the L1 page behind it',
    'R1, M4 against N1',
    [[open, host('fill', 0)], [host('invalidate', 0)]],
    [FILLED, 'kpop.notify.begin'],
  ),
  windows(
    'window-fill-remove',
    'a page is filled from a window while the table page that serves it is removed',
    'R5, K12',
    [[open, host('fill', 0)], [host('remove-tables', 0, 2)]],
    [PUBLISH, FILLED],
  ),
  windows(
    'window-open-open',
    'two windows are opened at once, with a third that one of them meets',
    'one array is exchanged for another only if it is still in force',
    [[open], [host('window', 2, PAGES), open]],
    [PUBLISH],
  ),
  windows(
    'window-teardown',
    'a window is opened while the address space is torn down',
    'primer/x86.md 6.5',
    [[open], [host('teardown', 0, PAGES)]],
    [PUBLISH, 'kpop.teardown.begin'],
  ),
];

const guests: readonly Litmus[] = [
  {
    id: 'window-write-unmap',
    title: 'a guest writes below a window while its page is unmapped',
    source: 'K2, K15',
    pages: PAGES,
    guests: [[write(0)]],
    hosts: [[open, host('unmap', 0)]],
    sometimes: [PUBLISH, FILLED],
  },
  {
    id: 'window-write-move',
    title: 'a guest writes below a window whose page is moved',
    source: 'K3: a fill joins the flush of what was there before',
    pages: PAGES,
    mapped: { first: 0, end: 1 },
    guests: [[write(0)]],
    hosts: [[host('move', 0)], [open]],
    sometimes: [PUBLISH],
  },
];

export const kpopWindowLitmus: readonly Litmus[] = [...pairs, ...guests];
