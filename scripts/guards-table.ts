/**
 * `kpop check kpop --guards --json > a.json; npm run guards-table -- a.json b.json`: writes the
 * tables of docs/guards-table.md from what checks of guards said, so that nobody copies them by
 * hand. A check that was interrupted is refused.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Check, GuardResult } from '../src/measure/check.ts';

const FILE = 'docs/guards-table.md';

const INTRO = `# Guards, label by label

Written by \`npm run guards-table\` from \`kpop check <design> --guards --json\`; docs/guards.md
says what the columns mean and what else is known. The command prints a schedule for each row.
`;

const HEAD = `| guard | weakened | under | memory | breaks | preemptions | moves |
|---|---|---|---|---|---|---|`;

const SAYS = {
  'not shown': 'not shown',
  unfinished: 'unfinished',
  'not reached': 'not reached',
} as const;

/** One line of a table: the counterexample, or why there is none. */
export function rowOf({ label, verdict, result, argued }: GuardResult): string {
  if (verdict !== 'necessary') {
    const why = argued === '' ? SAYS[verdict] : `${SAYS[verdict]}; argued`;
    return `| \`${label}\` | | | | ${why} | | |`;
  }
  const { design, how, litmus, memory, promise, length, minimal } = result!;
  const axes = design.includes(':') ? ` (\`${design.slice(design.indexOf(':') + 1)}\`)` : '';
  const preemptions = /\((\d+) preemption/.exec(minimal)?.[1] ?? '';
  const cells = [how, `${litmus}${axes}`, memory, promise, preemptions, length === 0 ? '' : length];
  return `| \`${label}\` | ${cells.join(' | ')} |`;
}

/** The tables of some checks, a section for each design and one line over those of a check. */
export function tablesOf(checks: readonly Check[]): string {
  return checks.map(({ guards }) => sectionsOf(guards)).join('\n');
}

function sectionsOf(guards: readonly GuardResult[]): string {
  const designs = [...new Set(guards.map(({ design }) => design))];
  const sections = designs.map((design) => {
    const own = guards.filter((guard) => guard.design === design);
    const why = own
      .filter(({ argued }) => argued !== '')
      .map((g) => `- \`${g.label}\`: ${g.argued}`);
    return [
      `## ${design}`,
      shareOf(own),
      HEAD + own.map((each) => `\n${rowOf(each)}`).join(''),
      why.join('\n'),
    ]
      .filter((part) => part !== '')
      .join('\n\n');
  });
  const together = designs.length > 1 ? [`${designs.join(', ')} together: ${shareOf(guards)}`] : [];
  return `${[...sections, ...together].join('\n\n')}\n`;
}

/** Labels, each counted once whatever number of designs reach it. */
function shareOf(guards: readonly GuardResult[]): string {
  const labels = (some: readonly GuardResult[]): number => new Set(some.map((g) => g.label)).size;
  const shown = labels(guards.filter(({ verdict }) => verdict === 'necessary'));
  const reached = labels(guards.filter(({ verdict }) => verdict !== 'not reached'));
  const percent = Math.floor((100 * shown) / Math.max(1, reached));
  return `${shown} of the ${reached} guards that are reached are shown necessary (${percent} %).`;
}

export function main(paths: readonly string[]): number {
  const checks: Check[] = [];
  for (const path of paths) {
    const check = JSON.parse(readFileSync(path, 'utf8')) as Check;
    if (check.ended !== 'complete' || check.guards.length === 0) {
      process.stderr.write(`guards-table: ${path} is no complete check with --guards\n`);
      return 2;
    }
    checks.push(check);
  }
  if (checks.length === 0) {
    process.stderr.write('usage: npm run guards-table -- <kpop check --guards --json> ...\n');
    return 2;
  }
  writeFileSync(FILE, `${INTRO}\n${tablesOf(checks)}`);
  return 0;
}
