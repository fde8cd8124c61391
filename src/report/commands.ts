/** Commands worth trying after a comparison, ready to be pasted into a shell. */

import type { Compare } from '../measure/result.ts';
import { ranking } from './ranking.ts';
import { designsOf, groupsOf, largestGroup } from './reading.ts';

export interface Suggestion {
  readonly command: string;
  readonly why: string;
}

/** Three of them: more CPUs (or every detail of one run), the same as data, what else there is. */
export function nextCommands(doc: Compare): readonly Suggestion[] {
  const first = doc.runs[0];
  if (first === undefined) return [];
  const designs = designsOf(doc.runs).map(quote).join(' ');
  const best = ranking(largestGroup(doc))[0]?.leader.run.design ?? first.design;
  const work = `--workload ${quote(first.workload)} --machine ${quote(first.machine)}`;
  const wider: Suggestion =
    groupsOf(doc).length === 1
      ? {
          command: `kpop compare ${designs} ${work} --vcpus 1,2,4,8 --html scaling.html`,
          why: 'how each design scales with the number of vCPUs',
        }
      : {
          command: `kpop run ${quote(best)} ${work} --vcpus ${largestGroup(doc).vcpus}`,
          why: 'every count, lock and exit reason of one run',
        };
  return [
    wider,
    {
      command: `kpop run ${quote(best)} ${work} --json`,
      why: 'one run as a document, by the names of the published schema',
    },
    { command: 'kpop list', why: 'designs with their axes, workloads and machines' },
  ];
}

/** As a POSIX shell wants it: plain words as they are, anything else in single quotes. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
