/**
 * The import law, as data. A room is a folder (or file) below src; the row with the longest
 * matching path holds for a file. A room may always import itself. Tests may import anything.
 */

export interface RoomLaw {
  /** Path below src, without the ending: 'machine/preset' covers preset.ts and preset/. */
  readonly room: string;
  /** Rooms, or parts of rooms, that may be imported; '*' is everything not in `never`. */
  readonly may: readonly string[];
  readonly never?: readonly string[];
  readonly why: string;
}

const guestMay = ['base', 'runtime', 'machine', 'sync', 'abi', 'alloc', 'guest/common'];
const examMay = [
  'base',
  'runtime',
  'design',
  'workload',
  'schedule',
  'check',
  'measure',
  'machine/preset',
];

export const rooms: readonly RoomLaw[] = [
  { room: 'base', may: [], why: 'it could be anyone’s: no word about computers' },
  {
    room: 'runtime',
    may: ['base'],
    why: 'the contract knows neither silicon nor who decides what goes next',
  },
  { room: 'machine', may: ['base', 'runtime'], why: 'silicon has no locks, no VMs and no levels' },
  { room: 'sync', may: ['base', 'runtime'], why: 'a lock is a word, not a page' },
  { room: 'abi', may: ['base'], why: 'both sides of a level read it, so it belongs to neither' },
  {
    room: 'alloc',
    may: ['base', 'runtime', 'machine'],
    why: 'frames and objects of any kernel, whatever level it is of',
  },
  {
    room: 'hypervisor',
    may: ['base', 'runtime', 'machine', 'sync', 'abi', 'alloc'],
    why: 'a hypervisor knows neither its guests, nor its design, nor who watches it',
  },
  {
    room: 'guest/common',
    may: ['base', 'runtime', 'machine', 'sync', 'abi'],
    why: 'what all guests share cannot see the host',
  },
  { room: 'guest/kernel', may: guestMay, why: 'a guest cannot see its host' },
  { room: 'guest/program', may: guestMay, why: 'a program cannot see its host' },
  {
    room: 'guest/l1',
    may: [...guestMay, 'hypervisor'],
    why: 'a guest hypervisor does not know which stack it is part of',
  },
  {
    room: 'check',
    may: ['base', 'runtime', 'machine', 'hypervisor'],
    why: 'a checker looks; it takes no step and knows no design or scheduler',
  },
  {
    room: 'design',
    may: ['base', 'runtime', 'machine', 'sync', 'abi', 'alloc', 'hypervisor', 'guest', 'check'],
    why: 'a system does not know its exam, its scheduler or its judge',
  },
  {
    room: 'workload',
    may: ['base', 'runtime', 'abi', 'guest/program'],
    why: 'a workload that knows its design is cheating',
  },
  {
    room: 'schedule',
    may: ['base', 'runtime'],
    why: 'prices, buffers and workers are handed in; schedulers know no hypervisor',
  },
  { room: 'measure', may: ['base', 'runtime'], why: 'it reads traces and runs nothing' },
  { room: 'litmus', may: [], why: 'a litmus says who does what to which page, and nothing else' },
  {
    room: 'experiment/check',
    may: [...examMay, 'abi', 'litmus', 'machine', 'sync'],
    why: 'a check puts a design, a litmus and a small machine together, and prints nothing',
  },
  { room: 'experiment', may: examMay, why: 'an experiment composes what exists, prints nothing' },
  { room: 'report', may: ['base', 'measure'], why: 'yesterday’s numbers must print without a run' },
  {
    room: 'cli',
    may: ['*'],
    never: ['web'],
    why: 'the page stands alone and reads results',
  },
  {
    room: 'web',
    may: ['base', 'experiment', 'litmus', 'report', 'measure'],
    why: 'the page reads results and may run what an exam runs; it has no files or processes',
  },
  { room: 'index', may: ['*'], never: ['cli'], why: 'a library starts no command line' },
];

/** Node's own modules: only these parts of src may import them. */
export const nodeBuiltins = {
  may: ['cli', 'schedule/threads'],
  why: 'simulated code runs in a page too, and sees no clock, file or process',
};

/** Installed packages, and the parts of src that may import them. */
export const packages: readonly { name: string; may: readonly string[]; why: string }[] = [
  { name: 'commander', may: ['cli'], why: 'only the command line has options' },
  { name: 'esbuild', may: ['cli'], why: 'only the command line loads a user’s files' },
  { name: 'picocolors', may: ['cli', 'report'], why: 'only what prints has colours' },
  { name: 'cli-table3', may: ['cli', 'report'], why: 'only what prints has tables' },
  {
    name: 'zod',
    may: ['cli', 'report', 'web', 'experiment', 'workload', 'machine/preset'],
    why: 'input is checked where it enters, not in hot code',
  },
];

/**
 * Kinds are rivals: files of one kind never import another kind. `common…` is shared by all of
 * them and imports none; `index` lists them.
 */
export const kinds = {
  folder: 'hypervisor/mmu',
  shared: /^common/,
  list: 'index',
  why: 'kinds of MMU are rivals; what two of them share belongs into mmu/common',
};
