/** An answer as plain text: the sentence, what it rests on, how to repeat it, its limits. */
import type { Answer, Evidence, TurningPrice } from '../measure/answer.ts';
import { exact, several } from './number.ts';
import { printable, TERMINAL_WIDTH, table, wrap } from './table.ts';

export function renderAnswer(answer: Answer): string {
  const { experiment, name, question, quick, decided } = answer;
  const verdict = decided ? 'Decided' : 'Undecided';
  const size = quick ? ' (--quick: smaller sizes, the same designs)' : '';
  const parts = [
    folded(`${experiment} ${name}: ${question}`),
    folded(`${verdict}${size}. ${answer.answer}`),
    [
      'Findings',
      ...answer.findings.map(({ says, decided: is }) => item(`${is ? '' : 'undecided: '}${says}`)),
    ].join('\n'),
    ['Evidence, and the command that repeats it', ...answer.evidence.flatMap(told)].join('\n'),
    sensitivity(answer.sensitivity),
    ['Limits', ...answer.limits.map(item)].join('\n'),
  ];
  return `${parts.join('\n\n')}\n`;
}

function told(evidence: Evidence): string[] {
  return [item(`${evidence.name}: ${resultOf(evidence)}`), `      ${evidence.command}`];
}

function resultOf(evidence: Evidence): string {
  if (evidence.kind === 'compare') {
    const { runs } = evidence.compare;
    const sizes = [...new Set(runs.map(({ vcpus }) => vcpus))];
    const work = runs[0]?.workload ?? '';
    return `${several(runs.length, 'run')} of ${work} with ${sizes.join(', ')} vCPUs`;
  }
  const { verdict, exhausted, states, promise, length, preemptions } = evidence.result;
  if (verdict === 'violated') return `violated: ${promise} after ${several(length, 'move')}`;
  const far = exhausted ? 'all interleavings' : `to ${preemptions ?? 0} preemptions`;
  return `${verdict}, ${far}, ${several(states, 'state')}`;
}

function sensitivity(prices: readonly TurningPrice[]): string {
  if (prices.length === 0) return 'Sensitivity: no price within its interval turns an order round';
  const columns = ['Price', 'low to high', 'kind', 'turns at', 'with', 'order of', 'vCPUs'];
  const cells = prices.map((price) => [
    `${price.name} ${exact(price.value)}`,
    `${exact(price.low)} to ${exact(price.high)}`,
    price.kind,
    exact(price.at),
    price.together.join(', ') || 'nothing else',
    `${price.one}, ${price.other}`,
    String(price.vcpus),
  ]);
  const rows = table(
    columns.map((title) => ({ title })),
    cells,
  );
  return `Sensitivity: prices that turn an order round\n\n${rows}`;
}

function folded(text: string): string {
  return wrap(printable(text), TERMINAL_WIDTH).join('\n');
}

function item(text: string): string {
  const [first = '', ...rest] = wrap(printable(text), TERMINAL_WIDTH - 4);
  return [`  - ${first}`, ...rest.map((line) => `    ${line}`)].join('\n');
}
