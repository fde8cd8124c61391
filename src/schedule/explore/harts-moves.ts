/**
 * Who moves at a hart, and how that is said. Actors of hart h: 4h its code, 4h + 1 the delivery of
 * interrupts, 4h + 2 its store buffer, 4h + 3 what its hardware caches by itself.
 */
import { type HartView, Offer } from '../../runtime/hart.ts';

export const CODE = 0;
export const SIGNALS = 1;
export const BUFFER = 2;
export const FILLS = 3;
export const ACTORS = 4;

/** A move as a sentence; `by`: what cached translation it uses, if one. */
export function sentenceOf(
  hart: number,
  kind: number,
  view: HartView,
  alternative: number,
  by: string,
): string {
  if (kind === SIGNALS) return `cpu${hart} interrupt arrives`;
  if (kind === FILLS) return `cpu${hart} caches what a walk finds`;
  if (kind === BUFFER) return `cpu${hart} oldest store leaves the buffer`;
  const how = view.offer === Offer.choose ? ` = ${alternative}` : by;
  return `cpu${hart} ${view.context}: ${view.label}${how}`;
}

/** Label of what moves: that of the act that the code offers, or one for hardware. */
export function labelOf(kind: number, view: HartView): string {
  if (kind === SIGNALS) return '!irq';
  if (kind === FILLS) return '!fill';
  return kind === BUFFER ? '!store' : view.label;
}
