/** `kpop compare`: designs side by side on equal work. */
import { compareOf, SOFTWARE_SCALES } from '../experiment/compare.ts';
import { MOST_CPUS } from '../experiment/run.ts';
import { findSensitivity, notesOf, withPrices } from '../experiment/sensitivity.ts';
import { findPreset } from '../machine/preset/index.ts';
import type { Compare } from '../measure/result.ts';
import { renderHtml } from '../report/html.ts';
import { readComparison } from '../report/sentence.ts';
import { renderCompare } from '../report/text.ts';
import { nextCommands } from './commands.ts';
import { Status } from './failure.ts';
import { checkWritable, print, printJson, writeWhole } from './output.ts';
import type { Piece } from './piece.ts';
import { runPieces } from './pool.ts';
import { searchOnThreads } from './sensitivity.ts';
import { counts, openSession, type Session, type SessionOptions } from './session.ts';

export interface CompareOptions extends SessionOptions {
  readonly vcpus?: string | undefined;
  readonly json?: boolean | undefined;
  readonly html?: string | undefined;
  readonly sensitivity?: boolean | undefined;
}

export async function runCompare(
  designs: readonly string[],
  options: CompareOptions,
): Promise<number> {
  const vcpus = counts('--vcpus', options.vcpus ?? '1', 1, MOST_CPUS);
  const session = await openSession(designs, vcpus, options);
  if (options.html !== undefined) checkWritable(options.html);
  const { doc, interrupted } = await compareAll(session, options.sensitivity === true);
  if (doc !== undefined) {
    if (options.html !== undefined) {
      const machine = findPreset(session.common.machine);
      const commands = nextCommands(designs);
      writeWhole(options.html, renderHtml(doc, { machine, commands }));
    }
    if (options.json === true) printJson(doc);
    else print(`${renderCompare(doc)}\n${readComparison(doc)}\n`);
  }
  return interrupted ? Status.interrupted : Status.done;
}

export interface Compared {
  /** Undefined if an interrupt came before anything could be compared. */
  readonly doc: Compare | undefined;
  readonly interrupted: boolean;
}

/** Runs the session's designs with all numbers of vCPUs; after an interrupt, what was complete. */
export async function compareAll(session: Session, asksPrices = false): Promise<Compared> {
  const { common, designs, vcpus } = session;
  const sizes = [...vcpus].sort((a, b) => a - b);
  const pieces = sizes.flatMap((size) =>
    designs.flatMap((design) =>
      SOFTWARE_SCALES.map((softwareScale): Piece => ({ design, vcpus: size, softwareScale })),
    ),
  );
  const { runs, interrupted } = await runPieces(common, pieces);
  const doc = compareOf(runs);
  if (interrupted) {
    const points = designs.length * sizes.length;
    const kept = `${doc?.runs.length ?? 0} of ${points} runs are complete`;
    process.stderr.write(`kpop compare: interrupted; ${kept}\n`);
  }
  if (!asksPrices || doc === undefined || interrupted) return { doc, interrupted };
  const names = session.choices.map(({ name }) => name);
  const search = findSensitivity(names, sizes, notesOf(findPreset(common.machine)));
  const found = await searchOnThreads(search, common, designs);
  if (found !== undefined) return { doc: withPrices(doc, found), interrupted: false };
  process.stderr.write('kpop compare: interrupted; the comparison is complete, its prices not\n');
  return { doc, interrupted: true };
}
