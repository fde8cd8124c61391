/** The litmus programs. */

import { kpopLitmus } from './kpop.ts';
import { kpopHugeLitmus } from './kpop-huge.ts';
import { kpopL1Litmus } from './kpop-l1.ts';
import { kpopLogLitmus } from './kpop-log.ts';
import { kpopPolicyLitmus } from './kpop-policy.ts';
import { kpopProtectLitmus } from './kpop-protect.ts';
import { kpopWindowLitmus } from './kpop-window.ts';
import { type Litmus, ring } from './litmus.ts';
import { nestedLitmus } from './nested.ts';
import { shadowLitmus } from './shadow.ts';
import { stackLitmus } from './stack.ts';
import { tdpLitmus } from './tdp.ts';
import { tdpHugeLitmus } from './tdp-huge.ts';
import { tdpLogLitmus } from './tdp-log.ts';
import { tdpNxLitmus } from './tdp-nx.ts';
import { tdpSlotsLitmus } from './tdp-slots.ts';

export const litmusPrograms: readonly Litmus[] = [
  ...tdpLitmus,
  ...tdpHugeLitmus,
  ...tdpLogLitmus,
  ...tdpNxLitmus,
  ...tdpSlotsLitmus,
  ...nestedLitmus,
  ...shadowLitmus,
  ...kpopLitmus,
  ...kpopProtectLitmus,
  ...kpopLogLitmus,
  ...kpopWindowLitmus,
  ...kpopPolicyLitmus,
  ...kpopHugeLitmus,
  ...kpopL1Litmus,
  ...stackLitmus,
];

/** CPUs that a litmus needs: one for each guest and each thread of the host. */
export function cpusOf({ guests, hosts }: Litmus): number {
  return guests.length + hosts.length;
}

/** What a design offers if guests run on it. */
export const GUESTS = 'guests';

/** What a design offers that maps host pages of a size. */
export function pagesNeed(size: string): string {
  return `pages:${size}`;
}

/** What a design must offer: operations; what guests ask for as `ask:<what>`; guests at all. */
export function needsOf({ guests, hosts, hostPages, needs = [] }: Litmus): string[] {
  const asked = guests.flat().flatMap((step) => (step.do === 'ask' ? [`ask:${step.what}`] : []));
  const done = hosts.flat().map((step) => step.do);
  const others = done.filter((operation) => operation !== ring.do);
  const pages = hostPages === undefined ? [] : [pagesNeed(hostPages)];
  const all = [...(guests.length > 0 ? [GUESTS] : []), ...pages, ...needs, ...asked, ...others];
  return [...new Set(all)];
}

/** How much happens: the order in which litmus programs are tried when any of them may do. */
export function sizeOf(litmus: Litmus): number {
  const { guests, hosts } = litmus;
  const steps = [...guests, ...hosts].reduce((sum, each) => sum + each.length, 0);
  // Every entry into a guest multiplies what may happen; a third CPU does so even more.
  return steps + 3 * guests.length + 10 * Math.max(0, cpusOf(litmus) - 2);
}

/** What a guest does last: in some execution it must get there. */
export const GUEST_DONE = 'guest.done';

function promisedBy({ sometimes = [], guests, hosts }: Litmus): readonly string[] {
  const isRung = hosts.flat().some((step) => step.do === ring.do);
  const canEnd = guests.some((steps) => isRung || steps.every((step) => step.do !== 'await'));
  return canEnd ? [...sometimes, GUEST_DONE] : sometimes;
}

/** Every label that must happen, alternatives apart: number i is bit i of what was seen. */
export function sometimesLabels(litmus: Litmus): string[] {
  return [...new Set(promisedBy(litmus).flatMap((each) => each.split('|')))];
}

/** What must happen and was not seen. */
export function neverSeen(litmus: Litmus, seen: number): string[] {
  const labels = sometimesLabels(litmus);
  const isSeen = (label: string): boolean => ((seen >>> labels.indexOf(label)) & 1) === 1;
  return promisedBy(litmus).filter((each) => !each.split('|').some(isSeen));
}
