/**
 * Huge pages that are not executable: the litmus programs hold in every interleaving, and what is
 * weakened is caught.
 */
import { expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { runPiece } from '../../src/experiment/check/run-piece.ts';
import { tdpNxLitmus } from '../../src/litmus/tdp-nx.ts';
import { caught, explored } from './explored.ts';

const ON = 'tdp:nxhuge=on';

test.each(tdpNxLitmus.map(({ id }) => [id]))('%s holds in every interleaving', (litmus) => {
  expect(explored({ design: ON, litmus })).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  // A data fault puts a huge leaf in the place of a table that is not called small yet.
  ['nx-execute-fault', 'nx.announce', 'drop', 'nx.fetched'],
  ['nx-execute-fault', 'nx.look', 'drop', 'nx.fetched'],
  ['nx-collapse-execute', 'nx.look', 'drop', 'nx.list'],
  // A table that lost its race is one like others.
  ['nx-execute-lost', 'nx.retract', 'drop', 'nx.list'],
  ['nx-execute-lost', 'nx.untrack', 'drop', 'nx.list'],
  ['nx-execute-execute', 'tdp.split.commit', 'blind', 'frames.owned'],
  // R4, R13: who still walks the table that the worker has taken away.
  ['nx-recover-free', 'nx.recover.wait', 'drop', 'tlb.stale'],
  ['nx-recover-write', 'tdp.remove.freeze', 'drop', 'tdp.dirty'],
  // Two threads remove one table.
  ['nx-recover-remove', 'nx.recover.lock', 'drop', 'frames.owned'],
])('%s: %s made %s breaks %s', (litmus, label, how, promise) => {
  expect(caught({ design: ON, litmus, weaken: [{ label, how }] })).toBe(promise);
});

test.each(['nx.track.lock', 'nx.untrack.lock'])('%s keeps the list from a race', (label) => {
  const guard = { label, how: 'drop' } as const;
  const bounds = { steps: 100_000, goal: 'all', entries: 2, seed: 1 } as const;
  const litmus = 'nx-collapse-execute';
  const piece = { choice: ON, litmus, memory: 'sc', guard, bounds } as const;
  const origin = { design: ON, code: '' };
  const choice = parseDesign(ON);
  const { result } = runPiece({ piece, choice, origin, isBuiltIn: true, isOver: () => false });
  expect([result.verdict, result.promise]).toEqual(['violated', 'memory.race']);
});
