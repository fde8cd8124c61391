/**
 * What a move changed, for people: words by the structure that they belong to, what hardware may
 * have cached, interrupts in flight, stores in a buffer.
 */
import { hex } from '../../check/invariant/view.ts';
import { ept } from '../../machine/format/ept.ts';
import { type Entry, pagesAt } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { FRAME_HALVES } from '../../runtime/hart.ts';
import { MINI, type Scene } from './scene.ts';
import { wordName } from './word-name.ts';

const WORDS = FRAME_HALVES / 2;
/** Words of one frame that are told one by one. */
const MANY = 4;

/** What of a hart is not words. */
interface Hardware {
  readonly cached: number;
  readonly inFlight: number;
  readonly buffered: number;
}

/** A table that was reachable at some time. */
interface Table {
  readonly level: number;
  readonly first: number;
}

export class Changes {
  readonly #scene: Scene;
  readonly #format = ept(MINI, { accessDirty: true });
  readonly #words: Int32Array;
  readonly #tables = new Map<number, Table>();
  #hardware: readonly Hardware[];

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#words = scene.harts.words.slice();
    this.#hardware = this.#look();
    this.#findTables();
  }

  /** Differences since this was asked last. */
  since(): string[] {
    this.#findTables();
    const found = [...this.#wordChanges(), ...this.#hardwareChanges()];
    this.#words.set(this.#scene.harts.words);
    return found;
  }

  // --- words -----------------------------------------------------------------------------------

  #wordChanges(): string[] {
    const { words } = this.#scene.harts;
    const found: string[] = [];
    for (let frame = 0; frame * FRAME_HALVES < words.length; frame++) {
      const changed = this.#changedIn(frame);
      const isZeroed = changed.length > MANY && changed.every((at) => this.#isZero(words, at));
      if (isZeroed) found.push(`frame ${hex(frame)}: zeroed`);
      else found.push(...this.#changesOf(frame, changed));
    }
    return found;
  }

  /** Words with a name one by one, many others of a frame together. */
  #changesOf(frame: number, changed: readonly number[]): string[] {
    const named = changed.filter((at) => this.#isNamed(at));
    const others = changed.filter((at) => !this.#isNamed(at));
    if (others.length <= MANY) return changed.map((at) => this.#changeOf(at));
    const first = slotOf(others[0]!);
    const last = slotOf(others.at(-1)!);
    const where = `words ${first} to ${last} of frame ${hex(frame)}`;
    return [...named.map((at) => this.#changeOf(at)), `${others.length} of ${where} change`];
  }

  #isNamed(at: number): boolean {
    return !this.#changeOf(at).startsWith('word ');
  }

  /** Half-word indices of the changed words of a frame. */
  #changedIn(frame: number): number[] {
    const { words } = this.#scene.harts;
    const changed: number[] = [];
    for (let i = 0; i < WORDS; i++) {
      const at = frame * FRAME_HALVES + i * 2;
      if (words[at] !== this.#words[at] || words[at + 1] !== this.#words[at + 1]) changed.push(at);
    }
    return changed;
  }

  #isZero(words: Int32Array, at: number): boolean {
    return words[at] === 0 && words[at + 1] === 0;
  }

  #changeOf(at: number): string {
    const { words } = this.#scene.harts;
    const frame = Math.floor(at / FRAME_HALVES);
    const slot = slotOf(at);
    const table = this.#tables.get(frame);
    if (table !== undefined && slot < 1 << MINI.indexBits) {
      const show = (from: Int32Array): string => this.#entryText(from, at, table.level);
      const pages = pagesAt(MINI, table.level);
      const first = table.first + slot * pages;
      const last = first + pages - 1;
      const what = pages === 1 ? `page ${hex(first)}` : `pages ${hex(first)}-${hex(last)}`;
      return `entry of ${what}: ${show(this.#words)} -> ${show(words)}`;
    }
    const name = wordName(this.#scene.checked.structures ?? [], frame * FRAME_BYTES + slot * 8);
    return `${name}: ${valueAt(this.#words, at)} -> ${valueAt(words, at)}`;
  }

  #entryText(words: Int32Array, at: number, level: number): string {
    const entry = this.#format.decode({ lo: words[at]!, hi: words[at + 1]! }, level);
    if (entry.kind === 'table') return `table ${hex(entry.pfn)}`;
    return entry.kind === 'leaf' ? leafText(entry) : entry.kind;
  }

  #findTables(): void {
    const { words } = this.#scene.harts;
    const visit = (table: number, level: number, first: number): void => {
      this.#tables.set(table, { level, first });
      if (level === 0) return;
      for (let i = 0; i < 1 << MINI.indexBits; i++) {
        const at = table * FRAME_HALVES + i * 2;
        const entry = this.#format.decode({ lo: words[at]!, hi: words[at + 1]! }, level);
        if (entry.kind === 'table') visit(entry.pfn, level - 1, first + i * pagesAt(MINI, level));
      }
    };
    for (const root of this.#scene.checked.roots) visit(root, MINI.levels - 1, 0);
  }

  // --- hardware --------------------------------------------------------------------------------

  #look(): Hardware[] {
    const { harts } = this.#scene;
    return Array.from({ length: harts.count }, (_, hart) => ({
      cached: harts.cached(hart),
      inFlight: harts.inFlight(hart).length,
      buffered: harts.view(hart).buffered,
    }));
  }

  #hardwareChanges(): string[] {
    const now = this.#look();
    const found = now.flatMap((after, hart) => this.#ofHart(hart, this.#hardware[hart]!, after));
    this.#hardware = now;
    return found;
  }

  #ofHart(hart: number, before: Hardware, after: Hardware): string[] {
    const { hardware } = this.#scene;
    const found: string[] = [];
    const old = hardware.entries(before.cached);
    const current = hardware.entries(after.cached);
    for (const entry of current) {
      if (!old.includes(entry))
        found.push(`cpu${hart} may have cached ${hardware.describe(entry)}`);
    }
    for (const entry of old) {
      if (!current.includes(entry)) found.push(`cpu${hart} drops ${hardware.describe(entry)}`);
    }
    if (after.inFlight > before.inFlight) found.push(`an interrupt is in flight to cpu${hart}`);
    if (after.buffered !== before.buffered) {
      found.push(`stores in the buffer of cpu${hart}: ${before.buffered} -> ${after.buffered}`);
    }
    return found;
  }
}

/** Number of a word in its frame. */
function slotOf(at: number): number {
  return (at % FRAME_HALVES) / 2;
}

function leafText(entry: Entry): string {
  const rights = `${entry.read ? 'r' : ''}${entry.write ? 'w' : ''}${entry.execute ? 'x' : ''}`;
  return `frame ${hex(entry.pfn)} ${rights}${entry.dirty ? ' dirty' : ''}`;
}

function valueAt(words: Int32Array, at: number): string {
  const low = words[at]! >>> 0;
  const high = words[at + 1]! >>> 0;
  if (high === 0xffffffff && low >= 0x80000000) return String(low - 2 ** 32);
  if (high === 0) return `0x${low.toString(16)}`;
  return `0x${high.toString(16)}${low.toString(16).padStart(8, '0')}`;
}
