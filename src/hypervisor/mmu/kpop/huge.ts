/**
 * Huge intents: one word for as many pages as a place above the leaf tables serves. It is L1's
 * will; hardware has a huge leaf for it where the host's page behind it is as large, and else the
 * intent is split, by whoever needs it smaller: a fill whose page lies in a small page of the host,
 * an UNMAP or PROTECT of a part. A split changes what nobody can use: the same pages with the same
 * rights.
 *
 * A huge leaf that permits writes is always dirty, so hardware adds nothing that matters while it
 * is being replaced; one that has lost the right to write keeps its D, and so do its parts.
 *
 * Source: primer/x86.md 6.3, split (proposal). Differs: hardware alone is never split; a page has
 * its intent in its own place, or in one above it (ARCHITECTURE.md).
 */
import { Status } from '../../../abi/kpop.ts';
import { pagesAt } from '../../../machine/format/format.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { frameOf, levelOf } from '../../backing/huge.ts';
import { encode, lockEntry, type Place, placeAt, unlockEntry } from './entry.ts';
import { allows, install } from './install.ts';
import { type Intent, tableIntent, validIntent } from './intent.ts';
import { leafOf, protOf } from './leaf.ts';
import { type Space, TableWords } from './space.ts';
import { discardTable, newTable, type Stop } from './walk.ts';

/** What a fault of L2 finds: filled from the intent, or L1 must decide. */
export type FillOutcome = 'filled' | 'retry' | 'ask-owner';

const AS_USED = { accessed: true } as const;

/** The L1 page that a huge intent of `level` has for an L2 page. */
function l1PageIn(space: Space, intent: Intent, level: number, l2gfn: number): number {
  return intent.payload + (l2gfn % pagesAt(space.format.geometry, level));
}

/** The status of a MAP of what lies in a huge intent: it is what is wanted, or it is in the way. */
export function partOf(
  space: Space,
  intent: Intent,
  level: number,
  wanted: { readonly l2gfn: number; readonly l1gfn: number; readonly prot: number },
): number {
  const is = l1PageIn(space, intent, level, wanted.l2gfn) === wanted.l1gfn;
  return is && intent.prot === wanted.prot ? Status.ok : Status.busy;
}

/**
 * Fills below a place where a walk ended above the leaf tables. `split`: the intent was made
 * smaller, for the host's page is.
 */
export function* fillHuge(
  cpu: Context,
  space: Space,
  l2gfn: number,
  needed: number,
  { place, level, seen }: Stop,
): Routine<FillOutcome | 'split'> {
  if (seen?.state !== 'valid' || !allows(seen, needed)) return 'ask-owner';
  const { format, reverse } = space;
  const pages = pagesAt(format.geometry, level);
  const l1gfn = seen.payload;
  const seq = num(yield cpu.load(reverse.seq(l1gfn, pages), 'kpop.map.seq'));
  const page = l1PageIn(space, seen, level, l2gfn);
  const found = yield* space.l1Memory.find(cpu, page);
  if (found >= 0 && levelOf(found) < level) {
    yield* splitIntent(cpu, space, place, level);
    return 'split';
  }
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state === 'dead') return 'retry';
  const hardware = format.decode(yield cpu.load(place.hardware, 'kpop.fill.look'), level);
  const isSame = intent.state === 'valid' && intent.payload === l1gfn && found >= 0;
  const lacking = needed & ~protOf(hardware);
  if (!isSame || (hardware.kind === 'leaf' && (lacking === 0 || !allows(intent, needed)))) {
    yield* unlockEntry(cpu, space, place, encode(intent));
    return 'retry';
  }
  const { prot } = intent;
  let installed = true;
  if (hardware.kind === 'leaf') {
    const wider = leafOf(format, hardware.pfn, prot, level);
    yield cpu.storeWord(place.hardware, wider, 'kpop.fill.widen');
  } else {
    const pfn = frameOf(found) - (page - l1gfn);
    installed = yield* install(cpu, space, place, { l1gfn, prot, pfn, seq }, level);
  }
  yield* unlockEntry(cpu, space, place, encode(intent));
  return installed ? 'filled' : 'retry';
}

/**
 * Puts a table page of smaller intents, each of its part, in the place of a huge one; nothing if
 * that is none any more. No flush: what CPUs have cached of the huge leaf says the same.
 *
 * The parts are in the reverse map before the whole is taken out, and the huge leaf goes in
 * between, all under the entry lock: an invalidation finds the one, and waits, or the others.
 */
export function* splitIntent(
  cpu: Context,
  space: Space,
  place: Place,
  level: number,
): Routine<void> {
  const table = yield* newTable(cpu, space, place, level - 1); // allocation comes before the lock
  const intent = yield* lockEntry(cpu, space, place);
  if (intent.state !== 'valid') {
    if (intent.state !== 'dead') yield* unlockEntry(cpu, space, place, encode(intent));
    discardTable(cpu, space, table);
    return;
  }
  const { format, reverse } = space;
  const huge = format.decode(yield cpu.load(place.hardware, 'kpop.split.look'), level);
  // Who finds nothing to take away below joins what is still being flushed here.
  const label = num(yield cpu.load(place.table + TableWords.at.label, 'kpop.split.label'));
  yield cpu.store(table + TableWords.at.label, label, 'kpop.split.relabel');
  const span = pagesAt(format.geometry, level - 1);
  for (let i = 0; i < 1 << format.geometry.indexBits; i++) {
    const part = placeAt(cpu, table, i);
    cpu.write(part.intent, validIntent(intent.payload + i * span, intent.prot));
    if (huge.kind !== 'leaf') continue;
    const pfn = huge.pfn + i * span;
    const leaf = format.leaf({
      ...AS_USED,
      pfn,
      level: level - 1,
      rights: huge,
      dirty: huge.dirty,
    });
    yield cpu.storeWord(part.hardware, leaf, 'kpop.split.fill');
    yield* reverse.add(cpu, intent.payload + i * span, part);
  }
  const child = format.table(cpu.read(table + TableWords.at.hardware));
  yield cpu.storeWord(place.hardware, child, 'kpop.split.link');
  if (huge.kind === 'leaf') yield* reverse.remove(cpu, intent.payload, place, 0);
  yield* unlockEntry(cpu, space, place, tableIntent(table));
}
