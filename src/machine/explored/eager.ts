/**
 * The eager adversary: hardware caches one walkable entry after the other, each a move of its own,
 * and nothing is cached but what such a move cached. It is what "may be cached at any moment" says
 * word for word, and costs a state for every subset: the oracle of the lazy one, in small programs.
 */
import type { HartView } from '../../runtime/hart.ts';
import { HostileHardware } from './adversary.ts';

export class EagerHardware extends HostileHardware {
  override beforeWrite(set: number): number {
    return set;
  }

  override afterMove(set: number, before: HartView, after: HartView): number {
    super.afterMove(set, before, after); // for the tables that it gets to know
    return set;
  }

  override fills(set: number, view: HartView): readonly number[] {
    if (view.space < 0) return [];
    const cached = this.entries(set);
    return this.walkable(set, view.space).filter((entry) => !cached.includes(entry));
  }
}
