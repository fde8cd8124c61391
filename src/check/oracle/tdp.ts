/**
 * What a TDP MMU promises, without words: a page is mapped or not, and after its removal accesses
 * may go on until the flush is done. Removal of a range, of tables, of everything has one moment;
 * a fault may always be told to try again.
 *
 * Source: primer/x86.md 2.2, 2.4, 2.8 (I2, I7).
 */
import type { PageRange } from '../../hypervisor/mmu/common.ts';
import { hex } from '../invariant/view.ts';
import type { Call, Specification, Step } from './specification.ts';

export interface TdpState {
  readonly mapped: readonly boolean[];
  /** Whether a translation that was removed may still be used. */
  readonly lingers: readonly boolean[];
}

type Steps = readonly Step<TdpState>[];

export class TdpSpecification implements Specification<TdpState> {
  readonly operations = ['fault', 'unmap', 'invalidate', 'remove-tables', 'teardown', 'access'];
  /** Whether tables serve exactly this range: others are not removed. */
  readonly #isRemovable: (range: PageRange) => boolean;

  constructor(isRemovable: (range: PageRange) => boolean) {
    this.#isRemovable = isRemovable;
  }

  steps(state: TdpState, { operation, args }: Call, at: number): Steps {
    const [first = 0, end = 0] = args;
    switch (operation) {
      case 'fault':
        return fault(state, first);
      case 'unmap':
      case 'invalidate':
        return removal(state, first, end, at);
      case 'remove-tables':
        if (!this.#isRemovable({ first, end })) return [{ state, at: 'ok' }];
        return removal(state, first, end, at);
      case 'teardown':
        return removal(state, 0, state.mapped.length, at);
      default:
        return state.mapped[first]! || state.lingers[first]! ? [{ state, at: 'done' }] : [];
    }
  }

  visible(state: TdpState): TdpState {
    return { ...state, lingers: state.lingers.map(() => false) };
  }

  ceased(before: TdpState): TdpState {
    return before;
  }

  key({ mapped, lingers }: TdpState): string {
    return `${mapped.map(Number)} ${lingers.map(Number)}`;
  }

  describe({ operation, args: [first = 0, end] }: Call): string {
    if (operation === 'teardown') return 'teardown()';
    if (end === undefined) return `${operation}(page ${hex(first)})`;
    return `${operation}(pages ${hex(first)} to ${hex(end - 1)})`;
  }

  difference(before: TdpState, after: TdpState): string {
    return after.mapped
      .map((is, i) => (is === before.mapped[i] ? '' : `page ${hex(i)} ${is ? '' : 'un'}mapped`))
      .filter((text) => text !== '')
      .join('; ');
  }
}

function fault(state: TdpState, page: number): Steps {
  const { mapped, lingers } = state;
  if (page >= mapped.length) return [{ state, at: 'absent' }];
  const spurious = { state, at: 'retry' };
  if (mapped[page]) return [{ state, at: 'present' }, spurious];
  // A page changes its frame only through absence and a finished flush.
  if (lingers[page]) return [{ state: { mapped, lingers: lingers.with(page, false) }, at: 0 }];
  return [{ state: { mapped: mapped.with(page, true), lingers }, at: 'mapped' }, spurious];
}

/** All pages at once, and then the flush. */
function removal(state: TdpState, first: number, end: number, at: number): Steps {
  const inside = (page: number): boolean => page >= first && page < end;
  if (at === 0) {
    const mapped = state.mapped.map((is, page) => is && !inside(page));
    const lingers = state.lingers.map((is, page) => is || (inside(page) && state.mapped[page]!));
    return [{ state: { mapped, lingers }, at: 1 }];
  }
  const lingers = state.lingers.map((is, page) => is && !inside(page));
  return [{ state: { ...state, lingers }, at: 'ok' }];
}
