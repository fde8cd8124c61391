/**
 * The text that tracefs gives (`trace` and `trace_pipe`, trace-cmd report): one event a line,
 * `task-pid [cpu] flags seconds: event: fields`; comment lines begin with #. Phases are what was
 * written to `trace_marker`.
 */
import { badInput } from '../base/bad-input.ts';
import { PhaseCounter, type PhaseCounts } from './tracepoints.ts';

const LINE =
  /^\s*(\S.*)-(\d+)\s+(?:\(\s*\S+\)\s+)?\[(\d+)\]\s+(?:(\S+)\s+)?(\d+\.\d+): (\w+): ?(.*)$/;
const MARK = 'tracing_mark_write';
/** What an ftrace text begins with; trace-cmd's report begins with the number of CPUs. */
const HEAD = /^(?:# tracer: |cpus=\d+)/;

export function looksLikeFtrace(head: string): boolean {
  return HEAD.test(head) || LINE.test(head.split('\n')[0] ?? '');
}

export interface FtraceLine {
  readonly task: string;
  readonly cpu: number;
  readonly seconds: number;
  readonly event: string;
  readonly fields: string;
}

/** Every event of the text; `where` names it in messages. */
export function* ftraceLines(text: string, where: string): Generator<FtraceLine, void, undefined> {
  let number = 0;
  for (const line of text.split('\n')) {
    number++;
    if (line === '' || line.startsWith('#') || HEAD.test(line)) continue;
    const found = LINE.exec(line);
    if (found === null) {
      badInput(`${where}:${number}: no line of ftrace text: ${line.trim().slice(0, 60)}`);
    }
    const [, task, , cpu, , seconds, event, fields] = found;
    yield {
      task: task!,
      cpu: Number(cpu),
      seconds: Number(seconds),
      event: event!,
      fields: fields!,
    };
  }
}

/** How often each event happened in each phase. */
export function countFtrace(text: string, where: string): readonly PhaseCounts[] {
  const counter = new PhaseCounter([]);
  for (const { event, fields } of ftraceLines(text, where)) {
    if (event === MARK) counter.mark(fields.trim());
    else counter.count(event);
  }
  return counter.result();
}
