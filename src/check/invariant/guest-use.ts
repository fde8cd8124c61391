/**
 * What a CPU in guest mode can use of a space: what hardware finds there now, and what it may have
 * cached, translations and tables. The same questions are asked of promised spaces, which are what
 * a guest's own tables have said since its last flush.
 */
import {
  type Cached,
  type HostileHardware,
  PROMISED,
  type Walked,
} from '../../machine/explored/adversary.ts';
import { RIGHT_WRITE } from '../../machine/format/judge.ts';
import { hex } from './view.ts';

/** What a CPU can use: its space, and everything cached there. */
export interface Use {
  readonly hart: number;
  readonly space: number;
  readonly cached: readonly number[];
  readonly hardware: HostileHardware;
  readonly locked: boolean;
}

export type Broken = readonly [promise: string, why: string];

/** A page in a frame, with rights. */
export interface Usable {
  readonly frame: number;
  readonly rights: number;
}

/** What is cached and serves the space that the CPU runs in. */
export function entriesOf({ cached, hardware, space }: Use): Cached[] {
  return cached
    .map((number) => hardware.entry(number))
    .filter((entry) => hardware.reaches(entry.space, space));
}

/** Everything by which a page can be used in a space: its entry now, and what was cached. */
export function usableFor(
  hardware: HostileHardware,
  cached: readonly number[],
  space: number,
  page: number,
): Usable[] {
  const found: Usable[] = [];
  const add = ({ frame, rights }: Usable): void => {
    if (frame >= 0 && rights !== 0) found.push({ frame, rights });
  };
  add(written(hardware.walk(space, page), space));
  for (const number of cached) {
    const entry = hardware.entry(number);
    if (!hardware.reaches(entry.space, space) || !hardware.covers(entry, page)) continue;
    if (entry.kind === 'leaf') add(entry);
    else add(written(hardware.walkBelow(number, page), space));
  }
  return found;
}

/** A guest has not allowed a write that its dirty bit does not tell of; hardware sets its own. */
function written({ frame, rights, dirty }: Walked, space: number): Usable {
  return { frame, rights: dirty || space < PROMISED ? rights : rights & ~RIGHT_WRITE };
}

export function freeTable(frame: number): Broken {
  return ['tlb.stale', `may walk the table in frame ${hex(frame)}, which is free`];
}
