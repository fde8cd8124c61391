/** What `shadow` promises: S1 to S7 of the shadow engine for a guest's own long-mode tables. */
import type { Released, StatePromise } from '../promise.ts';
import { framesOwned } from './frames-owned.ts';
import { backingClaim } from './mmu-frames.ts';
import { shadowMarks, shadowReverse } from './shadow-books.ts';
import { mirrorsGuest, tracksGuest } from './shadow-mirror.ts';
import { freedShadow, shadowPages } from './shadow-pages.ts';
import type { ShadowParts } from './shadow-use.ts';
import { guestView, type View } from './view.ts';

/** `lock`: its word, and whether what that says is that somebody writes. */
export function shadowPromises(
  parts: ShadowParts,
  lock: Pick<Released, 'lock' | 'isHeld'>,
): readonly StatePromise[] {
  const { mmu, guestPages, pool } = parts;
  const books = (host: View): { host: View; l1: View; l1Pages: number } => ({
    host,
    l1: guestView(host, (gfn) => mmu.backing.peekFrame(host, gfn)),
    l1Pages: guestPages,
  });
  const whole = (
    id: string,
    title: string,
    source: string,
    complaints: (view: View) => string[],
  ): StatePromise => {
    const released: Released = { ...lock, holds: (view) => complaints(view)[0] };
    return { id, title, source, released, atRest: complaints };
  };
  return [
    {
      id: 'shadow.promised',
      title:
        'S6: on no CPU can the guest use more than its tables have said since its last flush ' +
        'there, composed with the frames that back its pages now',
      source: 'primer/x86.md 3.4, S6; Intel SDM vol. 3, 4.10.2, 4.10.4',
    },
    whole(
      'shadow.mirrored',
      'S2: an entry in step allows no more than the guest’s entry and what its page inherited',
      'primer/x86.md 3.4, S2; CVE-2021-38198',
      (view) => mirrorsGuest(view, parts),
    ),
    whole(
      'shadow.listed',
      'S1: reverse map and parent lists hold exactly the present entries',
      'primer/x86.md 3.4, S1',
      (view) => shadowReverse(books(view), mmu),
    ),
    whole(
      'shadow.tracked',
      'S4, S5: without the lock held, nobody can write to a table in step unseen',
      'primer/x86.md 3.4, S4, S5',
      (view) => tracksGuest(view, parts),
    ),
    whole(
      'shadow.marked',
      'S3: what is out of step is marked in every entry above it, up to the roots',
      'primer/x86.md 3.4, S3',
      (view) => shadowMarks(books(view), mmu),
    ),
    whole(
      'shadow.freed',
      'S7: no shadow entry leads to a shadow page that is free',
      'primer/x86.md 3.4, S7',
      (view) => freedShadow(view, mmu, guestPages, pool),
    ),
    owned(parts),
  ];
}

function owned({ mmu, guestPages }: ShadowParts): StatePromise {
  const { platform, backing } = mmu;
  return {
    id: 'frames.owned',
    title: 'at rest every frame that was handed out has exactly one owner',
    source: 'primer/x86.md 3.4, S7; leaks and double frees',
    atRest: (view) => {
      const pages = shadowPages(view, mmu, guestPages);
      return framesOwned(view, {
        pool: platform.frames,
        cpus: platform.cpus,
        slabs: mmu.slabs,
        claims: [
          backingClaim(view, backing, [{ first: 0, end: guestPages }]),
          { owner: 'a shadow page', frames: pages.flatMap(({ table, mapped }) => [table, mapped]) },
          { owner: 'spares of the shadow', frames: mmu.peekSpares(view) },
        ],
      });
    },
  };
}
