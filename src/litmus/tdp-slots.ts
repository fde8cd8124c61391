/**
 * Memory slots that come and go, and devices: pages 0 and 1 are a slot's from the start, 2 and 3
 * are in none. Pages of user space's memory have the numbers of the guest pages that they first lie
 * behind; `slot-delete` also gives them back, and nobody tells the VM.
 */
import { awaitRing, host, type Litmus, leave, read, ring, write } from './litmus.ts';

const PAGES = 4;
const ONE = { first: 0, end: 1 };
const FIRST_SLOT = { first: 0, end: 2 };

const remove = host('slot-delete', FIRST_SLOT.first, FIRST_SLOT.end);

const deletions: readonly Litmus[] = [
  {
    id: 'slot-delete-write',
    title: 'a guest writes to a page while its slot is deleted and its memory given back',
    source: 'primer/x86.md 2.4, fast zap; 2.6, memslot delete; I7, I9',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[remove]],
    sometimes: ['root.zap.unlink|tdp.zap.clear', 'run.flush|root.flush'],
  },
  {
    id: 'slot-delete-fault',
    title: 'a guest faults on a page that nobody has mapped while its slot is deleted',
    source: 'primer/x86.md 2.2, step 5: whoever found the slot is waited for (SRCU)',
    pages: PAGES,
    guests: [[write(0)]],
    hosts: [[remove]],
    sometimes: ['tdp.map.commit'],
  },
  {
    id: 'slot-delete-stay',
    title: 'a guest that stays in guest mode until the slot of its page has been deleted',
    source: 'primer/x86.md 2.4: who runs under the old root is interrupted; I9',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0), awaitRing]],
    hosts: [[remove, ring]],
    sometimes: ['flush.kick'],
  },
  {
    id: 'slot-delete-leave',
    title: 'a guest writes, leaves and writes again while the slot of its page is deleted',
    source: 'R2: requests at the next entry; I9',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0), leave, write(0)]],
    hosts: [[remove]],
    sometimes: ['run.take-requests'],
  },
  {
    id: 'slot-delete-keep',
    title: 'a guest writes to a page of one slot while another one is deleted',
    source: 'R3, R5: a root that is zapped under the read lock; primer/x86.md 2.8, lost D',
    pages: PAGES,
    guests: [[write(0), write(0, 2)]],
    hosts: [[host('slot-add', 2, 3), host('slot-delete', 2, 3)]],
    sometimes: ['slots.publish'],
  },
];

const devices: readonly Litmus[] = [
  {
    id: 'slot-add-write',
    title: 'a guest writes to a device’s page again and again while it becomes memory',
    source: 'primer/x86.md 2.6, MMIO: a generation that is under way is not believed; I8',
    pages: PAGES,
    guests: [[write(2, 1), write(2, 2)]],
    hosts: [[host('slot-add', 2, 3)]],
    sometimes: ['mmio.look', 'tdp.map.commit'],
  },
  {
    id: 'slot-wrap',
    title: 'a guest reads a page that was a device’s when the generation last was what it is now',
    source: 'primer/x86.md 2.6, MMIO: the generation’s bits begin anew; I8',
    pages: PAGES,
    guests: [[read(2), read(2)]],
    hosts: [[host('slot-add', 2, 3), host('slot-add', 3, 4), host('slot-delete', 3, 4)]],
    sometimes: ['mmio.look', 'root.invalidate'],
  },
];

const moves: readonly Litmus[] = [
  {
    id: 'slot-move-write',
    title: 'a guest writes at both places while a slot moves from one to the other',
    source: 'primer/x86.md 2.6, memslot delete: a move deletes and adds',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0, 1), write(2, 2)]],
    hosts: [[host('slot-move', 0, 2)]],
    sometimes: ['slots.publish'],
  },
  {
    id: 'slot-move-invalidate',
    title: 'user space takes a page away while the slot that it lies in moves',
    source: 'primer/x86.md 2.1: invalidations under way are waited for before slots change',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('slot-move', 0, 2)], [host('invalidate', 0)]],
    sometimes: ['slots.switch.wait', 'tdp.zap.clear'],
  },
  {
    id: 'slot-move-move',
    title: 'one thread of user space moves a slot, and another one moves it back',
    source: 'primer/x86.md 2.1: changes of slots under slots_lock',
    pages: PAGES,
    guests: [],
    hosts: [[host('slot-move', 0, 2)], [host('slot-move', 2, 0)]],
    sometimes: ['slots.publish'],
  },
  {
    id: 'slot-add-delete',
    title: 'one thread of user space adds a slot while another one deletes one',
    source: 'primer/x86.md 2.1: changes of slots under slots_lock',
    pages: PAGES,
    guests: [],
    hosts: [[host('slot-add', 2, 3)], [remove]],
    sometimes: ['slots.publish'],
  },
  {
    id: 'slot-delete-unmap',
    title: 'user space takes a page away while the slot that it lies in is deleted',
    source: 'primer/x86.md 2.8: roots that are zapped are still reached by invalidations',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('slot-delete', 0, 1)], [host('unmap', 0)]],
    sometimes: ['tdp.zap.clear'],
  },
];

/** Three CPUs. */
const three: readonly Litmus[] = [
  {
    id: 'slot-delete-two',
    title: 'two guests use a page while its slot is deleted: the last one out frees the old root',
    source: 'primer/x86.md 2.1: references of a root; I5',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)], [write(0)]],
    hosts: [[remove]],
    sometimes: ['root.put', 'root.unlink'],
  },
  {
    id: 'slot-delete-unmap-write',
    title: 'a guest writes to a page that one thread unmaps and whose slot another one deletes',
    source: 'R12: who finds an entry empty relies on its flush; primer/x86.md 2.6',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('slot-delete', 0, 1)], [host('unmap', 0)]],
    sometimes: ['slots.publish', 'tdp.zap.clear'],
  },
];

export const tdpSlotsLitmus: readonly Litmus[] = [...deletions, ...devices, ...moves, ...three];
