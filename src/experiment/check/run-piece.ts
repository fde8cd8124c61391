/**
 * One piece from the scene to the result: explored as far as its bounds go, on livelocks too if it
 * is small, and if a promise is broken, a counterexample as short as can be found.
 */
import type { Choice } from '../../design/index.ts';
import { GUEST_DONE, neverSeen } from '../../litmus/index.ts';
import type { Weakening } from '../../machine/explored/weakening.ts';
import type { CheckMove, CheckResult } from '../../measure/check.ts';
import type { LiveHart } from '../../runtime/hart.ts';
import { exploreLiveness } from '../../schedule/explore/liveness.ts';
import { type Minimised, minimise } from '../../schedule/explore/minimise.ts';
import { namesOf } from '../../schedule/explore/names.ts';
import type { Explored, Move } from '../../schedule/explore/system.ts';
import { isLock } from './guards.ts';
import { hunt } from './hunt.ts';
import { limitsOf } from './limits.ts';
import { type Look, lookAt } from './look.ts';
import { findLitmus, isKnownBroken, type Piece } from './pieces.ts';
import { promiseOf, titleIn } from './promises.ts';
import { lookForRaces, watchRaces } from './races.ts';
import { replay } from './replay.ts';
import { buildScene, type Scene, type SceneOptions } from './scene.ts';
import { writeSchedule } from './schedule.ts';

export interface PieceTask {
  readonly piece: Piece;
  readonly choice: Choice;
  /** The design as a schedule names it, and a hash of the code that is explored. */
  readonly origin: { readonly design: string; readonly code: string };
  /** What a litmus must reach is a promise for built-in designs, and a remark for others. */
  readonly isBuiltIn: boolean;
  /** True ends the search: time is over. */
  readonly isOver: () => boolean;
  readonly watch?: (live: LiveHart, hart: number) => LiveHart;
}

/** A label that was offered, with the operation codes of its acts. */
export type Offered = readonly [label: string, ops: readonly number[]];

export interface PieceOutcome {
  readonly result: Omit<CheckResult, 'secondsWall' | 'cached'>;
  readonly offered: readonly Offered[];
  /** Time ended it: another run may find more. */
  readonly wasEnded: boolean;
}

/** Moves that may be taken to shorten a counterexample. */
const MINIMISE = 400_000;
/** How often a user's own code is run twice before it is believed to depend on words alone. */
const HUNT = { seed: 1, runs: 12, depth: 400 };
/** Local states of the code: whoever has more does not come to an end, or keeps a clock. */
const MOST_LOCALS = 400_000;
/** States up to which livelocks are looked for. */
const LIVENESS_STATES = 60_000;

/** Labels that say that a program has come to what it is for. */
const PURPOSES: Readonly<Record<string, string>> = {
  [GUEST_DONE]: 'does the guest come to its end',
  'host.touched': 'is the page accessed',
};

/** What was found, whichever engine found it. */
interface Found {
  readonly message: string;
  readonly path: readonly Move[];
  readonly loop: number;
  readonly minimal: string;
}

export function runPiece(task: PieceTask): PieceOutcome {
  const { piece } = task;
  if (!task.isBuiltIn && piece.guard === undefined) hunt(sceneOptions(task), HUNT);
  const scene = sceneOf(task);
  const { harts } = scene;
  let ended = false;
  const isOver = (): boolean => {
    ended ||= task.isOver();
    return ended || harts.work.locals > MOST_LOCALS;
  };
  const hunts = piece.guard !== undefined;
  const look = lookAt(harts, { bounds: piece.bounds, hunts, isOver });
  const { alsoUnder = piece.memory } = piece;
  const isWeakest = piece.memory === alsoUnder;
  const mayLock = look.verdict === 'holds' && !hunts;
  const liveness = mayLock && isWeakest ? livelockOf(scene, look, isOver) : undefined;
  const never = look.verdict === 'holds' && hunts ? neverAgain(task, look, isOver) : undefined;
  const canRace =
    look.verdict !== 'violated' && (piece.guard === undefined ? isWeakest : mayRace(piece.guard));
  const races = canRace ? racesOf(task, scene, isOver) : undefined;
  const another = (): Explored => sceneOf(task).harts;
  const found =
    look.verdict === 'violated'
      ? shortest(look, harts, another, isOver)
      : (races?.found ?? never ?? liveness?.found);
  const elsewhere = isWeakest ? '' : `livelocks and races are looked for under ${alsoUnder}`;
  const says = { liveness: liveness?.says ?? elsewhere, races: races?.says ?? '' };
  return {
    result: resultOf(task, look, found, scene, says),
    offered: [...harts.labels()].map(([label, ops]): Offered => [label, [...ops].sort()]),
    wasEnded: ended,
  };
}

/**
 * Weakened code is watched for races where nothing else may show what is missing: an order that was
 * taken away, a lock that is not there.
 */
function mayRace({ label, how }: Weakening): boolean {
  return how === 'relaxed' || (how === 'drop' && isLock(label));
}

function sceneOf(task: PieceTask): Scene {
  return buildScene(sceneOptions(task));
}

function sceneOptions({ piece, choice, watch }: PieceTask): SceneOptions {
  return {
    choice,
    litmus: findLitmus(piece.litmus),
    order: piece.memory,
    weaken: piece.guard === undefined ? [] : [piece.guard],
    entries: piece.bounds.entries,
    ...(watch === undefined ? {} : { watch }),
  };
}

/** `explored` has its automata filled, and stands at its start again. */
function shortest(
  broken: { readonly message: string; readonly path: readonly Move[] },
  explored: Explored,
  another: () => Explored,
  isOver: () => boolean,
): Found {
  const promise = promiseOf(broken.message);
  let isFirst = true;
  const fresh = (): Explored => {
    if (!isFirst) return another();
    isFirst = false;
    return explored;
  };
  const { path, message, says }: Minimised = minimise({
    fresh,
    path: broken.path,
    isSame: (other) => promiseOf(other) === promise,
    steps: MINIMISE,
    isOver,
  });
  return { message, path, loop: -1, minimal: says };
}

function racesOf(task: PieceTask, scene: Scene, isOver: () => boolean): Extra {
  const { seed } = task.piece.bounds;
  const { message, path, says } = lookForRaces(scene, { seed, isOver });
  if (message === '') return { found: undefined, says };
  const watched = (one: Scene): Explored => watchRaces(one, 'words');
  const found = shortest({ message, path }, watched(scene), () => watched(sceneOf(task)), isOver);
  return { found, says };
}

/** What a litmus is after happens in no execution of weakened code, and does without weakening. */
function neverAgain(task: PieceTask, look: Look, isOver: () => boolean): Found | undefined {
  const { piece } = task;
  const litmus = findLitmus(piece.litmus);
  const never = neverSeen(litmus, look.seen).find((label) => label in PURPOSES);
  if (never === undefined) return undefined;
  const whole = sceneOf({ ...task, piece: { ...piece, guard: undefined } });
  const { seen } = lookAt(whole.harts, { bounds: piece.bounds, hunts: true, isOver });
  if (neverSeen(litmus, seen).includes(never)) return undefined;
  const message = `litmus.sometimes: in no execution ${PURPOSES[never]}, as it does else`;
  return { message, path: [], loop: -1, minimal: '' };
}

/** What a look beside the main one found. */
interface Extra {
  readonly found: Found | undefined;
  /** What is known then, as a limit. */
  readonly says: string;
}

/** By the automata that the main look has filled: hardly any code is left to run. */
function livelockOf({ harts }: Scene, look: Look, isOver: () => boolean): Extra {
  if (look.preemptions !== Number.POSITIVE_INFINITY) {
    return { found: undefined, says: 'livelocks were not looked for: not all states are known' };
  }
  if (look.states > LIVENESS_STATES) {
    return { found: undefined, says: `livelocks were not looked for in ${look.states} states` };
  }
  const promises = Array.from(
    { length: harts.count },
    (_, hart) => `progress.livelock: cpu${hart} never ends`,
  );
  const report = exploreLiveness(harts, { promises, isOver });
  if (report.verdict === 'violated') {
    const { message, path, loop } = report;
    const minimal = 'the shortest way into it; not the shortest way round';
    return { found: { message, path, loop, minimal }, says: '' };
  }
  const isWhole = report.verdict === 'holds';
  return {
    found: undefined,
    says: isWhole ? 'no livelock under weak fairness' : 'livelocks: the search was not finished',
  };
}

function resultOf(
  task: PieceTask,
  look: Look,
  found: Found | undefined,
  scene: Scene,
  says: { readonly liveness: string; readonly races: string },
): PieceOutcome['result'] {
  const { harts } = scene;
  const { piece } = task;
  const { guard, bounds } = piece;
  const verdict = found === undefined ? look.verdict : 'violated';
  const isBroken = guard !== undefined || isKnownBroken(task.choice, findLitmus(piece.litmus));
  const expected = isBroken ? 'violated' : 'holds';
  const tooEasy = verdict === 'holds' ? tooEasyOf(task, look, scene) : '';
  const isAll = look.preemptions === Number.POSITIVE_INFINITY;
  const isEndless = harts.work.locals > MOST_LOCALS;
  const limits = limitsOf(piece, look, { wasHeld: harts.wasHeld, isEndless, ...says });
  if (!task.isBuiltIn && tooEasy !== '') limits.push(tooEasy);
  const fails = task.isBuiltIn ? tooEasy : '';
  const broken = found === undefined ? '' : promiseOf(found.message);
  const promise = fails === '' ? broken : 'litmus.sometimes';
  return {
    design: piece.choice,
    litmus: piece.litmus,
    guard: guard?.label ?? '',
    how: guard?.how ?? '',
    memory: piece.memory,
    verdict,
    expected,
    asExpected: verdict === expected && fails === '',
    promise,
    promised: promise === '' ? '' : titleIn(scene, promise),
    message: found === undefined ? fails : sentenceOf(found.message),
    executions: look.executions,
    states: look.states,
    steps: look.steps,
    exhausted: isAll,
    preemptions: isAll ? null : look.preemptions,
    hashBits: 64,
    collision: look.collision,
    entries: bounds.entries,
    ...counterexampleOf(task, found),
    limits,
  };
}

function sentenceOf(message: string): string {
  return message.slice(message.indexOf(': ') + 2);
}

function tooEasyOf({ piece }: PieceTask, { seen }: Look, { checked }: Scene): string {
  const { lacks = [] } = checked;
  const isLeftOut = (either: string): boolean => {
    return either.split('|').some((label) => lacks.includes(label));
  };
  const never = neverSeen(findLitmus(piece.litmus), seen).filter((each) => !isLeftOut(each));
  if (never.length === 0) return '';
  return `the litmus was too easy: ${never.join(', ')} never happened`;
}

type Counterexample = Pick<CheckResult, 'schedule' | 'length' | 'minimal' | 'interleaving'>;

function counterexampleOf(task: PieceTask, found: Found | undefined): Counterexample {
  if (found === undefined || found.path.length === 0) {
    return { schedule: '', length: 0, minimal: '', interleaving: [] };
  }
  const { piece, origin } = task;
  const scene = sceneOf(task);
  const names = namesOf(scene.harts, found.path);
  const interleaving: readonly CheckMove[] = replay(sceneOf(task), names, found.loop).moves;
  const schedule = writeSchedule({
    design: origin.design,
    code: origin.code,
    litmus: piece.litmus,
    memory: piece.memory,
    guard: piece.guard,
    entries: piece.bounds.entries,
    loop: found.loop,
    names,
  });
  return { schedule, length: names.length, minimal: found.minimal, interleaving };
}
