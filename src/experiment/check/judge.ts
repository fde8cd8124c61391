/**
 * What is asked of every state. A broken promise is said as `<promise>: <sentence>`.
 *
 * Of every design: nobody touches a frame that is free, no CPU in
 * guest mode can use a translation that its page has lost, and what the design itself promises.
 *
 * A promise is a function of the words that it reads, of what the last move was, and of what CPUs
 * have cached. Most moves change nothing of that, so an answer "it holds" is remembered by a hash
 * of all of it: of every half-word that any answer so far has read (`Harts.watch`). When an answer
 * reads one that was not among them what is remembered is forgotten, for its keys say too little.
 */
import { Defect } from '../../base/assert.ts';
import { Hash64 } from '../../base/hash.ts';
import { hex, type View } from '../../check/invariant/view.ts';
import type { FramePool } from '../../check/promise.ts';
import type { Checked } from '../../design/system.ts';
import type { Cached, HostileHardware } from '../../machine/explored/adversary.ts';
import type { Harts } from '../../schedule/explore/harts.ts';
import type { Judgement } from '../../schedule/explore/harts-options.ts';
import { Visited } from '../../schedule/explore/visited.ts';

/** Name of the promise, and what is wrong. */
type Broken = readonly [string, string];

/** What was asked, in a key; promises from OF_DESIGN on. */
const FREE_FRAME = 0;
const STALE = 1;
const OF_DESIGN = 2;
/** Answers remembered at most. */
const ANSWERS = 2 ** 20;

export interface JudgeOptions {
  readonly checked: Checked;
  readonly hardware: HostileHardware;
  /** Memory as promises see it; it says to `heard` which half-words it is asked for. */
  readonly view: (heard: (index: number) => void) => View;
  /** Asks anew in every state: for tests. */
  readonly remembers?: boolean | undefined;
}

export class Judge implements Judgement {
  readonly #checked: Checked;
  readonly #hardware: HostileHardware;
  readonly #view: View;
  readonly #remembers: boolean;
  /** Keys of what was answered with "it holds". */
  #held = new Visited();
  readonly #key = new Hash64();
  #harts: Harts | undefined; // while an answer is sought
  readonly #heard: (index: number) => void;

  constructor({ checked, hardware, view, remembers = true }: JudgeOptions) {
    this.#checked = checked;
    this.#hardware = hardware;
    this.#remembers = remembers;
    this.#heard = (index) => {
      if (index >= 0 && this.#harts?.watch(index) === true) this.#held = new Visited();
    };
    this.#view = view(this.#heard);
  }

  always(harts: Harts, hart: number): string | undefined {
    return (
      this.#freeFrame(harts, hart) ??
      this.#stale(harts) ??
      this.#givenTooEarly(harts) ??
      this.#design(harts)
    );
  }

  atRest(_harts: Harts): string | undefined {
    for (const { id, atRest } of this.#checked.promises) {
      const wrong = answer(() => atRest?.(this.#view)[0]);
      if (wrong !== undefined) return `${id}: at rest, ${wrong}`;
    }
    return undefined;
  }

  /**
   * Answers a question by `ask` unless it was found before that what it asks for holds. `about`:
   * everything but words that the answer depends on, as a hash.
   */
  #ask(
    harts: Harts,
    about: { readonly low: number; readonly high: number },
    ask: () => string | undefined,
  ): string | undefined {
    if (!this.#remembers) return ask();
    const { low, high } = about;
    if (this.#held.has(low ^ harts.watchedLow, high ^ harts.watchedHigh)) return undefined;
    this.#harts = harts;
    this.#hardware.heard = this.#heard;
    const wrong = ask();
    this.#hardware.heard = undefined;
    this.#harts = undefined;
    if (wrong !== undefined) return wrong;
    if (this.#held.count >= ANSWERS) this.#held = new Visited();
    this.#held.enter(low ^ harts.watchedLow, high ^ harts.watchedHigh);
    return undefined;
  }

  /** The key begins with the number of the question. */
  #about(question: number): Hash64 {
    const key = this.#key;
    key.reset();
    key.add(question);
    return key;
  }

  #freeFrame(harts: Harts, hart: number): string | undefined {
    const { lastLeaf } = harts;
    if (lastLeaf === undefined || lastLeaf.frames.length === 0) return undefined;
    const about = this.#about(FREE_FRAME);
    about.add(hart);
    about.add(lastLeaf.number);
    return this.#ask(harts, about, () => this.#touchedFree(harts, hart));
  }

  /** The last move read or wrote a frame that is free, and was not freed by that very move. */
  #touchedFree(harts: Harts, hart: number): string | undefined {
    const { lastFrames } = harts;
    for (let i = 0; i < lastFrames.length; i++) {
      const frame = lastFrames[i]!;
      for (const pool of this.#checked.pools) {
        if (!pool.covers(frame) || !pool.isFree(this.#view, frame)) continue;
        if (harts.lastWrote(pool.linkAt(frame))) continue;
        return `frame.free: cpu${hart} touched frame ${hex(frame)}, which is free`;
      }
    }
    return undefined;
  }

  #stale(harts: Harts): string | undefined {
    const about = this.#about(STALE);
    let isAsked = false;
    for (let hart = 0; hart < harts.count; hart++) {
      const { space } = harts.view(hart);
      about.add(space);
      if (space < 0) continue;
      const cached = harts.cached(hart);
      isAsked ||= cached !== this.#hardware.nothing;
      about.add(this.#hardware.hashLow(cached));
      about.add(this.#hardware.hashHigh(cached));
    }
    if (!isAsked && this.#checked.judgeUse === undefined) return undefined;
    about.add(isLocked(harts) ? 1 : 0);
    return this.#ask(harts, about, () => this.#usesStale(harts));
  }

  /** A CPU in guest mode may use at once whatever it has cached. */
  #usesStale(harts: Harts): string | undefined {
    const usable = new Map<number, number>(); // frame by page
    const { judgeUse } = this.#checked;
    for (let hart = 0; hart < harts.count; hart++) {
      const { space } = harts.view(hart);
      if (space < 0) continue;
      if (judgeUse !== undefined) {
        const wrong = this.#misuse(harts, hart, space);
        if (wrong !== undefined) return wrong;
        continue;
      }
      for (const number of this.#hardware.entries(harts.cached(hart))) {
        const cached = this.#hardware.entry(number);
        if (cached.space !== space) continue;
        const wrong =
          cached.kind === 'leaf' ? this.#staleLeaf(cached, usable) : this.#staleTable(cached.frame);
        if (wrong !== undefined) return `${wrong[0]}: cpu${hart} in guest mode ${wrong[1]}`;
      }
    }
    return undefined;
  }

  #misuse(harts: Harts, hart: number, space: number): string | undefined {
    const cached = this.#hardware.entries(harts.cached(hart));
    const use = { hart, space, cached, hardware: this.#hardware, locked: isLocked(harts) };
    const wrong = this.#checked.judgeUse!(this.#view, use);
    return wrong && `${wrong[0]}: cpu${hart} in guest mode ${wrong[1]}`;
  }

  /**
   * The last move gave a frame back, and may have taken it again, while a CPU in guest mode could
   * use it: no state ever shows it free. Of the move, not of words: so it is asked every time.
   */
  #givenTooEarly(harts: Harts): string | undefined {
    if (!harts.lastWroteAny) return undefined;
    for (let hart = 0; hart < harts.count; hart++) {
      const { space } = harts.view(hart);
      const set = harts.cached(hart);
      if (space < 0 || set === this.#hardware.nothing) continue;
      for (const number of this.#hardware.entries(set)) {
        const { frame, space: of, kind } = this.#hardware.entry(number);
        if (of !== space || !this.#wasGiven(harts, frame)) continue;
        const what = kind === 'leaf' ? 'use' : 'walk the table in';
        return `tlb.stale: cpu${hart} in guest mode may ${what} frame ${hex(frame)}, given back`;
      }
    }
    return undefined;
  }

  /** Whether the last move put a frame into the list of free ones. */
  #wasGiven(harts: Harts, frame: number): boolean {
    const pool = this.#checked.pools.find((each) => each.covers(frame));
    return pool !== undefined && harts.lastWrote(pool.linkAt(frame));
  }

  #staleLeaf(cached: Cached, usable: Map<number, number>): Broken | undefined {
    const { page, frame, rights } = cached;
    const why = this.#checked.misuse(this.#view, page, frame, rights);
    if (why !== undefined) {
      return ['tlb.stale', `may use page ${hex(page)} in frame ${hex(frame)}: ${why}`];
    }
    if (!this.#checked.exclusive) return undefined;
    const other = usable.get(page) ?? this.#hardware.mapped(cached.space, page);
    usable.set(page, frame);
    if (other < 0 || other === frame) return undefined;
    const both = `frame ${hex(frame)} and, through its entry or on another CPU, ${hex(other)}`;
    return ['tlb.single', `may use page ${hex(page)} in two places: ${both}`];
  }

  #staleTable(frame: number): Broken | undefined {
    const pool = this.#checked.pools.find((each: FramePool) => each.covers(frame));
    if (pool === undefined || !pool.isFree(this.#view, frame)) return undefined;
    return ['tlb.stale', `may walk the table in frame ${hex(frame)}, which is free`];
  }

  #design(harts: Harts): string | undefined {
    if (!harts.lastWroteAny) return undefined;
    const { promises } = this.#checked;
    const wrong = this.#ask(harts, this.#about(OF_DESIGN), () => this.#alwaysOf());
    if (wrong !== undefined) return wrong;
    for (const [i, { id, released }] of promises.entries()) {
      if (released === undefined || !harts.lastWrote(released.lock) || isLocked(harts)) continue;
      const broken = this.#ask(harts, this.#about(OF_DESIGN + 1 + i), () => {
        // Code notes a release before it performs it, and its stores may still wait in a buffer.
        if (released.isHeld(this.#view)) return undefined;
        return answer(() => released.holds(this.#view));
      });
      if (broken !== undefined) return `${id}: ${broken}`;
    }
    return undefined;
  }

  #alwaysOf(): string | undefined {
    for (const { id, always } of this.#checked.promises) {
      const wrong = answer(() => always?.(this.#view));
      if (wrong !== undefined) return `${id}: ${wrong}`;
    }
    return undefined;
  }
}

/** Structures may be such that who follows them leaves memory: no less wrong. */
function answer(question: () => string | undefined): string | undefined {
  try {
    return question();
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return `its structures cannot be followed: ${error.message}`;
  }
}

function isLocked(harts: Harts): boolean {
  for (let hart = 0; hart < harts.count; hart++) if (harts.view(hart).locks > 0) return true;
  return false;
}
