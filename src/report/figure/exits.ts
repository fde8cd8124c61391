/** Exits per operation by reason: one stacked bar per design. */

import type { Markup } from '../markup.ts';
import { rough, several } from '../number.ts';
import { type Group, type ReasonRow, reasonsOf } from '../reading.ts';
import { list } from '../sentence.ts';
import {
  barRows,
  COLOURS,
  colour,
  dataTable,
  emptyFigure,
  figure,
  legend,
  stackedBar,
} from './common.ts';

const TITLE = 'Exits into L0 by reason';

/** The most frequent reasons have a colour each; the rest share the last. */
export function exitFigure(group: Group): Markup {
  const reasons = reasonsOf(group);
  if (reasons.length === 0) return emptyFigure(TITLE, 'No design left its guest.');
  const shown = folded(reasons, group.rows.length);
  const totals = group.rows.map((_, i) => sum(shown.map((reason) => reason.perOperation[i]!)));
  const most = Math.max(...totals);
  const name = (i: number): string => group.rows[i]!.run.design;
  const paint = (k: number): string => (shown[k]!.name === OTHERS ? 'rest' : colour(k));
  const rows = (width: number) =>
    totals.map((total, i) => ({
      name: name(i),
      value: rough(total),
      draw: (top: number, height: number) =>
        stackedBar(
          shown.map((reason, k) => ({
            key: k + 1,
            colour: paint(k),
            size: reason.perOperation[i]!,
            title: `${reason.name}: ${rough(reason.perOperation[i]!)} per operation`,
          })),
          width / most,
          top,
          height,
        ),
    }));
  return figure({
    title: TITLE,
    note: `Per operation, with ${several(group.vcpus, 'vCPU')}.`,
    summary: `Exits per operation: ${list(totals.map((total, i) => `${name(i)} ${rough(total)}`))}`,
    draw: (width) => barRows(rows(width), width),
    legend: legend(shown.map((reason, k) => ({ name: reason.name, colour: paint(k) }))),
    table: dataTable(
      'Exits per operation',
      ['Reason', ...group.rows.map(({ run }) => run.design)],
      [
        ...reasons.map((reason) => [reason.name, ...reason.perOperation.map(rough)]),
        ['all', ...totals.map(rough)],
      ],
    ),
  });
}

const OTHERS = 'all other reasons';

function folded(reasons: readonly ReasonRow[], designs: number): readonly ReasonRow[] {
  if (reasons.length <= COLOURS) return reasons;
  const rest = reasons.slice(COLOURS - 1);
  const values = Array.from({ length: designs }, (_, i) =>
    sum(rest.map((r) => r.perOperation[i]!)),
  );
  return [...reasons.slice(0, COLOURS - 1), { name: OTHERS, perOperation: values }];
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
