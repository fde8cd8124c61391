/** What is promised of every design, and what the designs promise themselves. */
import { explorable, parseDesign } from '../../design/index.ts';
import type { Checked } from '../../design/system.ts';
import { checkedOf } from './scene.ts';

export interface PromiseText {
  readonly id: string;
  /** What holds, in one sentence. */
  readonly title: string;
  readonly source: string;
}

/** Asked of every design, in the words of `judge.ts` and the engines. */
export const COMMON: readonly PromiseText[] = [
  {
    id: 'frame.free',
    title: 'nobody reads or writes a frame that is free',
    source: 'primer/x86.md 2.8, I5',
  },
  {
    id: 'tlb.stale',
    title: 'a CPU in guest mode can use no translation whose page was taken, and no freed table',
    source: 'primer/x86.md 2.8, I1, I7',
  },
  {
    id: 'tlb.single',
    title: 'at no instant can a page be used in two frames, on all CPUs together',
    source: 'primer/x86.md 2.8, I2',
  },
  {
    id: 'lock.order',
    title: 'locks are wanted only in the order of LOCKS.md',
    source: 'src/sync/lock-class.ts',
  },
  {
    id: 'lock.wait',
    title: 'nobody waits for another CPU’s answer while holding a lock that it may need',
    source: 'src/sync/lock-class.ts',
  },
  {
    id: 'memory.race',
    title: 'two CPUs that touch a plain word, one of them writing, are ordered by what they did',
    source: 'DESIGN.md law 1',
  },
  {
    id: 'code.assertion',
    title: 'no assertion of the code fails',
    source: 'src/base/assert.ts',
  },
  {
    id: 'progress.deadlock',
    title: 'whoever waits is woken: no execution ends with a wait',
    source: 'primer/x86.md 9.4 (6)',
  },
  {
    id: 'progress.livelock',
    title: 'all code comes to its end if no CPU that can move is held up for ever',
    source: 'primer/x86.md 9.4 (6)',
  },
  {
    id: 'litmus.sometimes',
    title: 'what the litmus is about did happen in some execution',
    source: 'src/litmus',
  },
];

/** The name of the promise that a message is about. */
export function promiseOf(message: string): string {
  return message.slice(0, Math.max(0, message.indexOf(': ')));
}

/** The sentence of a promise; its name where nobody knows it. */
export function titleIn({ checked }: { readonly checked: Checked }, id: string): string {
  const known = [...COMMON, ...checked.promises].find((promise) => promise.id === id);
  return known?.title ?? id;
}

/** All promises of the built-in designs, each once. */
export function allPromises(): readonly PromiseText[] {
  const own = explorable.flatMap((design) => {
    return checkedOf(parseDesign(design.id, explorable))?.promises ?? [];
  });
  const found = new Map<string, PromiseText>();
  for (const { id, title, source } of [...COMMON, ...own]) found.set(id, { id, title, source });
  return [...found.values()];
}
