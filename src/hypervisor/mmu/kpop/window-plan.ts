/** What windows become when one is opened, or a range of pages is taken out of them. Pure. */
import { WINDOW_LIMIT } from '../../../abi/kpop-window.ts';
import type { PageRange } from '../common.ts';

/** Pages of L2, each on the page of L1 at the same distance. */
export interface Window extends PageRange {
  /** Of the first page. */
  readonly l1gfn: number;
  /** PROT_* bits. */
  readonly prot: number;
  /** Not 0 while it is being opened: who does it, and nothing is filled from it yet. */
  readonly opener: number;
}

/** Windows of an address space, ascending; they do not meet. */
export type Windows = readonly Window[];

/** `busy`: another window is there, or there are too many. */
export function withWindow(windows: Windows, wanted: Window): Windows | 'busy' {
  if (windows.some((each) => meets(each, wanted)) || windows.length >= WINDOW_LIMIT) return 'busy';
  return [...windows, wanted].sort((a, b) => a.first - b.first);
}

/** `stale`: a part of it was taken away while it was being opened; then all of it goes. */
export function opened(windows: Windows, wanted: Window): Windows | 'stale' {
  const isWhole = windows.some((each) => each.opener !== 0 && isSame(each, wanted));
  if (!isWhole) return 'stale';
  return windows.map((each) => (isSame(each, wanted) ? { ...each, opener: 0 } : each));
}

/** Without what somebody did not succeed in opening. */
export function withoutOpener(windows: Windows, opener: number): Windows {
  return windows.filter((each) => each.opener !== opener);
}

/**
 * The pages of the ranges keep no more rights than `prot`; without any they are in no window.
 * `busy`: there would be too many parts.
 */
export function narrowed(
  windows: Windows,
  ranges: readonly PageRange[],
  prot: number,
): Windows | 'busy' {
  let now = windows;
  for (const range of ranges) {
    if (!now.some((each) => meets(each, range) && (each.prot & ~prot) !== 0)) continue;
    now = now.flatMap((each) => partsOf(each, range, prot));
  }
  return now.length > WINDOW_LIMIT ? 'busy' : now;
}

function partsOf(window: Window, range: PageRange, prot: number): Window[] {
  if (!meets(window, range)) return [window];
  const first = Math.max(window.first, range.first);
  const end = Math.min(window.end, range.end);
  return [
    partOf(window, window.first, first),
    { ...partOf(window, first, end), prot: window.prot & prot },
    partOf(window, end, window.end),
  ].filter((part) => part.first < part.end && part.prot !== 0);
}

function partOf(window: Window, first: number, end: number): Window {
  return { ...window, first, end, l1gfn: window.l1gfn + (first - window.first) };
}

function meets(a: PageRange, b: PageRange): boolean {
  return a.first < b.end && b.first < a.end;
}

function isSame(a: Window, b: Window): boolean {
  return a.first === b.first && a.end === b.end && a.l1gfn === b.l1gfn && a.opener === b.opener;
}
