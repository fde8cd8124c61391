/** Share of CPU time from wanting locks to having them, by class: one stacked bar per design. */

import type { Markup } from '../markup.ts';
import { percent, several, whole } from '../number.ts';
import { type Group, gettingCycles, lockWait, type Row, shareOf } from '../reading.ts';
import { list } from '../sentence.ts';
import { barRows, colour, dataTable, emptyFigure, figure, legend, stackedBar } from './common.ts';

const TITLE = 'Getting locks';

export function lockFigure(group: Group): Markup {
  const totals = group.rows.map(({ run }) => shareOf(run, lockWait(run)));
  const most = Math.max(0, ...totals);
  const size = several(group.vcpus, 'vCPU');
  if (most === 0) return emptyFigure(TITLE, `No design took a lock with ${size}.`);
  const names = waitedFor(group);
  return figure({
    title: TITLE,
    note: `Waiting for a holder, or for the line of a free lock; share of the CPU time of ${size}.`,
    summary: `Share of time getting locks: ${list(
      group.rows.map(({ run }, i) => `${run.design} ${percent(totals[i]!)}`),
    )}`,
    draw: (width) =>
      barRows(
        group.rows.map((row, i) => ({
          name: row.run.design,
          value: percent(totals[i]!),
          draw: (top, height) => stackedBar(segments(row, names), width / most, top, height),
        })),
        width,
      ),
    legend: legend(names.map((name, k) => ({ name, colour: colour(k) }))),
    table: dataTable(
      'Locks that were taken',
      ['Design, lock', 'taken', 'had to wait', 'getting it, of CPU time', 'longest wait, cycles'],
      group.rows.flatMap(({ run }) =>
        run.locks.map((lock) => [
          `${run.design}, ${lock.name}`,
          whole(lock.acquisitions),
          whole(lock.contended),
          percent(shareOf(run, gettingCycles(lock))),
          whole(lock.maxWaitCycles),
        ]),
      ),
    ),
  });
}

/** Classes that somebody waited for, in the order in which the runs list them. */
function waitedFor(group: Group): readonly string[] {
  const waited = group.rows
    .flatMap(({ run }) => run.locks)
    .filter((lock) => gettingCycles(lock) > 0);
  return [...new Set(waited.map((lock) => lock.name))];
}

function segments({ run }: Row, names: readonly string[]) {
  return names.map((name, k) => {
    const lock = run.locks.find((one) => one.name === name);
    const share = shareOf(run, lock === undefined ? 0 : gettingCycles(lock));
    const title = `${name}: ${percent(share)} of CPU time, ${whole(lock?.contended ?? 0)} waits`;
    return { key: k + 1, colour: colour(k), size: share, title };
  });
}
