/** A design of nothing but operations on a few words: what tests of the checker itself run. */
import { Arena } from '../../src/alloc/arena.ts';
import type { Choice } from '../../src/design/index.ts';
import type { Design, System } from '../../src/design/system.ts';
import { buildScene, type Scene } from '../../src/experiment/check/scene.ts';
import { host, type Litmus } from '../../src/litmus/litmus.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { Weakening } from '../../src/machine/explored/weakening.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import type { Likeness } from '../../src/runtime/hart.ts';
import { atomic, layout, plain } from '../../src/runtime/layout.ts';

export const Words = layout('little', {
  data: plain,
  flag: atomic,
  lock: atomic,
  queue: atomic,
  more: { kind: 'plain', count: 4 },
});

/** Where the words are, and a frame that is nobody's. */
export interface Little {
  readonly machine: Machine;
  readonly data: number;
  readonly flag: number;
  readonly lock: number;
  readonly more: number;
  readonly frame: number;
}

export type Body = (cpu: Context, at: Little) => Routine<void>;

export interface LittleOptions {
  readonly order?: MemoryOrder;
  readonly weaken?: readonly Weakening[];
  readonly likenesses?: (at: Little) => readonly Likeness[];
  /** Once for every copy of the system, before its bodies run. */
  readonly boot?: (at: Little) => void;
}

/** One body per CPU. */
export function little(bodies: readonly Body[], options: LittleOptions = {}): Scene {
  return buildScene(littleOptions(bodies, options));
}

export function littleOptions(bodies: readonly Body[], options: LittleOptions = {}) {
  const { order = 'sc', weaken = [] } = options;
  const choice: Choice = { name: 'little', design: designOf(bodies, options), axes: {} };
  const hosts = bodies.map((_, i) => [host(`body.${i}`, 0)]);
  const litmus: Litmus = { id: 'little', title: '', source: '', pages: 1, guests: [], hosts };
  return { choice, litmus, order, weaken };
}

function designOf(bodies: readonly Body[], { boot, likenesses }: LittleOptions): Design {
  const build = (machine: Machine): System => {
    const arena = new Arena(1, 8);
    const base = arena.place(Words);
    const at = (field: keyof (typeof Words)['at']): number => base + Words.at[field];
    const words = {
      machine,
      data: at('data'),
      flag: at('flag'),
      lock: at('lock'),
      more: at('more'),
      frame: 9,
    };
    boot?.(words);
    const operations = Object.fromEntries(
      bodies.map((body, i) => [`body.${i}`, (cpu: Context) => body(cpu, words)]),
    );
    return {
      machine,
      environments: [],
      hostInvalidate: function* none(): Routine<void> {},
      memory: () => ({ tableBytes: 0, bookBytes: 0 }),
      checked: {
        roots: [],
        operations,
        premap: () => undefined,
        pools: [],
        misuse: () => undefined,
        exclusive: false,
        freeHanded: [],
        privates: () => [],
        promises: [],
        structures: arena.placed,
        likenesses: likenesses?.(words) ?? [],
      },
    };
  };
  const texts = { title: '', source: '', isolates: '', leavesOut: [], axes: {} };
  return { id: 'little', ...texts, build };
}
