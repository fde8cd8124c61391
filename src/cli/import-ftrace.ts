/**
 * `kpop import` of ftrace text: how often each event of KVM happened in each phase; with
 * `--against` beside what the same guest program causes under a design.
 */
import { type Choice, designs, parseDesign } from '../design/index.ts';
import { type Against, holdAgainst, type Row } from '../experiment/against.ts';
import { countFtrace } from '../measure/ftrace.ts';
import type { PhaseCounts } from '../measure/tracepoints.ts';
import { type Column, table } from '../report/table.ts';
import { Status } from './failure.ts';
import { print, printJson } from './output.ts';

const COUNTED: readonly Column[] = [{ title: 'event' }, { title: 'count' }];
const COMPARED: readonly Column[] = [
  { title: 'event' },
  { title: 'recorded' },
  { title: 'simulated' },
  { title: '', align: 'left' },
];

/** All of an input as text. */
export async function wholeText(input: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder('utf-8');
  let text = '';
  for await (const chunk of input) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

export function importFtrace(
  file: string,
  text: string,
  options: { readonly json?: boolean | undefined; readonly against?: string | undefined },
): number {
  const phases = countFtrace(text, file);
  if (options.against === undefined) {
    if (options.json === true) printJson(documentOf(file, phases));
    else print(renderCounts(phases));
    return Status.done;
  }
  const against = holdAgainst(
    file,
    phases,
    likeTheHost(parseDesign(options.against, designs), text),
  );
  if (options.json === true) printJson(against);
  else print(renderAgainst(against));
  return against.rows.some(isUnexplained) ? Status.violated : Status.done;
}

/** Supervisor code is emulated where the recording shows it so, unless the user says otherwise. */
function likeTheHost(choice: Choice, text: string): Choice {
  const { design, name } = choice;
  const isOpen = 'supervisor' in design.axes && !name.includes('supervisor=');
  if (!isOpen || !text.includes('kvm_emulate_insn')) return choice;
  const joint = name.includes(':') ? ',' : ':';
  return parseDesign(`${name}${joint}supervisor=emulated`, designs);
}

function isUnexplained(row: Row): boolean {
  return row.recorded !== row.simulated && row.why === undefined;
}

function documentOf(file: string, phases: readonly PhaseCounts[]) {
  return {
    schema: 'kpop.events/1',
    recording: file,
    phases: phases.map(({ phase, counts }) => ({ phase, counts: Object.fromEntries(counts) })),
  };
}

function renderCounts(phases: readonly PhaseCounts[]): string {
  const parts = phases.map(({ phase, counts }) => {
    const rows = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    return `${phase}\n${table(
      COUNTED,
      rows.map(([name, n]) => [name, String(n)]),
    )}`;
  });
  return `${parts.join('\n')}\n`;
}

function renderAgainst(against: Against): string {
  const phases = [...new Set(against.rows.map(({ phase }) => phase))];
  const parts = phases.map((phase) => {
    const rows = against.rows.filter((row) => row.phase === phase);
    const cells = rows.map(({ event, recorded, simulated }) => [
      event,
      String(recorded),
      String(simulated),
      recorded === simulated ? '' : 'differs',
    ]);
    return `${phase}\n${table(COMPARED, cells)}`;
  });
  const told = against.rows
    .filter((row) => row.why !== undefined)
    .map((row) => `${row.phase}, ${row.event}: ${row.why}.`);
  return `${[...parts, verdict(against), ...told].join('\n')}\n`;
}

function verdict({ rows, design, differences, notModelled }: Against): string {
  const equal = rows.length - differences;
  const rest = notModelled.length === 0 ? '' : ` Not modelled: ${notModelled.join(', ')}.`;
  return `${equal} of ${rows.length} counts are those of the recording under ${design}.${rest}`;
}
