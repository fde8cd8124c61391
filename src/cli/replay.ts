/**
 * `kpop replay`: an execution again, move by move, in a process of its own. After an edit of the
 * code the schedule is followed as far as it fits.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { badInput } from '../base/bad-input.ts';
import { explorable } from '../design/index.ts';
import { findLitmus } from '../experiment/check/pieces.ts';
import { promiseOf, titleIn } from '../experiment/check/promises.ts';
import { type Replayed, replay } from '../experiment/check/replay.ts';
import { buildScene } from '../experiment/check/scene.ts';
import { looksLikeSchedule, readSchedule, type Schedule } from '../experiment/check/schedule.ts';
import type { Replay } from '../measure/check.ts';
import { renderReplay } from '../report/check.ts';
import { describeParting } from '../schedule/explore/names.ts';
import { codeHash, hashOfProgram } from './cache.ts';
import { nameDesign } from './check.ts';
import { systemMessage, UsageError } from './errors.ts';
import { Status } from './failure.ts';
import { print, printJson } from './output.ts';
import { chooseDesign, type NamedDesign } from './piece.ts';

const MOST_BYTES = 16 << 20;

export async function runReplay(text: string, options: { json?: boolean }): Promise<number> {
  const schedule = readSchedule(scheduleIn(text));
  const named = await nameDesign(schedule.design);
  const choice = await chooseDesign(named, explorable);
  const { litmus, memory, guard, entries } = schedule;
  const scene = buildScene({
    choice,
    litmus: findLitmus(litmus),
    order: memory,
    weaken: guard === undefined ? [] : [guard],
    entries,
  });
  const replayed = replay(scene, schedule.names, schedule.loop);
  const message = replayed.message ?? '';
  const promise = promiseOf(message);
  const document: Replay = {
    schema: 'kpop.replay/1',
    design: schedule.design,
    litmus,
    memory,
    guard: guard?.label ?? '',
    how: guard?.how ?? '',
    loop: schedule.loop,
    interleaving: replayed.moves,
    promise,
    promised: promise === '' ? '' : titleIn(scene, promise),
    message: message.slice(promise === '' ? 0 : promise.length + 2),
    parting: partingOf(replayed),
    remark: remarkOf(schedule, named),
  };
  if (options.json === true) printJson(document);
  else print(renderReplay(document));
  return message === '' ? Status.done : Status.violated;
}

/** The schedule itself, or what is in the file that the text names. */
function scheduleIn(text: string): string {
  if (looksLikeSchedule(text)) return text;
  if (!existsSync(text)) {
    const shown = text.length <= 40 ? text : `${text.slice(0, 40)}…`;
    return badInput(`'${shown}' is neither a schedule (kpop1!…) nor a file that holds one`);
  }
  try {
    if (statSync(text).size > MOST_BYTES) badInput(`${text}: too large to hold a schedule`);
    const lines = readFileSync(text, 'utf8').split('\n');
    const found = lines.map((line) => line.trim()).filter((line) => line !== '');
    return found.find(looksLikeSchedule) ?? badInput(`${text}: holds no schedule (kpop1!…)`);
  } catch (error) {
    if (error instanceof Error && error.name === 'BadInput') throw error;
    throw new UsageError(`${text}: cannot be read: ${systemMessage(error)}`);
  }
}

function partingOf({ parting }: Replayed): string {
  return parting === undefined ? '' : describeParting(parting);
}

/** Whether the code is the one that the schedule was found in. */
function remarkOf({ code }: Schedule, named: NamedDesign): string {
  if (code === '' || code === codeHash(hashOfProgram(), named.bundle?.code)) return '';
  return 'the code has changed since this schedule was written';
}
