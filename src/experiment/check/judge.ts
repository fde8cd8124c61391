/**
 * What is asked of every state. A broken promise is said as `<promise>: <sentence>`.
 *
 * Of every design: nobody touches a frame that is free, no CPU in
 * guest mode can use a translation that its page has lost, and what the design itself promises.
 */
import { Defect } from '../../base/assert.ts';
import { hex, type View } from '../../check/invariant/view.ts';
import type { FramePool } from '../../check/promise.ts';
import type { Checked } from '../../design/system.ts';
import type { Cached, HostileHardware } from '../../machine/explored/adversary.ts';
import type { Harts } from '../../schedule/explore/harts.ts';
import type { Judgement } from '../../schedule/explore/harts-options.ts';

/** Name of the promise, and what is wrong. */
type Broken = readonly [string, string];

export class Judge implements Judgement {
  readonly #checked: Checked;
  readonly #hardware: HostileHardware;
  readonly #view: View;

  constructor(checked: Checked, hardware: HostileHardware, view: View) {
    this.#checked = checked;
    this.#hardware = hardware;
    this.#view = view;
  }

  always(harts: Harts, hart: number): string | undefined {
    return this.#freeFrame(harts, hart) ?? this.#stale(harts) ?? this.#design(harts);
  }

  atRest(_harts: Harts): string | undefined {
    for (const { id, atRest } of this.#checked.promises) {
      const wrong = answer(() => atRest?.(this.#view)[0]);
      if (wrong !== undefined) return `${id}: at rest, ${wrong}`;
    }
    return undefined;
  }

  /** The last move read or wrote a frame that is free, and was not freed by that very move. */
  #freeFrame(harts: Harts, hart: number): string | undefined {
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

  /** A CPU in guest mode may use at once whatever it has cached. */
  #stale(harts: Harts): string | undefined {
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
    for (const { id, always, released } of this.#checked.promises) {
      const wrong = answer(() => always?.(this.#view));
      if (wrong !== undefined) return `${id}: ${wrong}`;
      if (released === undefined || !harts.lastWrote(released.lock) || isLocked(harts)) continue;
      // Code notes a release before it performs it, and its stores may still wait in a buffer.
      if (released.isHeld(this.#view)) continue;
      const broken = answer(() => released.holds(this.#view));
      if (broken !== undefined) return `${id}: ${broken}`;
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
