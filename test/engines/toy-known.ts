/** Named programs: litmus tests, and benchmarks of the literature on partial-order reduction. */
import type { Instruction, Program } from './toy-program.ts';

type Order = Program['order'];

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Two tasks store to one word each and load the other's; total store order lets both read 0. */
export function storeBuffering(order: Order, fenced = false): Program {
  const fence: Instruction[] = fenced ? [{ op: 'fence' }] : [];
  return {
    name: `store buffering ${order}${fenced ? ' fenced' : ''}`,
    words: [0, 0],
    order,
    tasks: [0, 1].map((word): Instruction[] => [
      { op: 'store', word, from: 1 },
      ...fence,
      { op: 'load', word: 1 - word, into: 0 },
    ]),
  };
}

/** One task writes a word, `readers` others write words of their own and read it. */
export function readers(count: number, order: Order = 'sc'): Program {
  const writer: Instruction[] = [{ op: 'store', word: 0, from: 1 }];
  return {
    name: `${count} readers ${order}`,
    words: [0, ...range(count).map(() => 0)],
    order,
    tasks: [
      writer,
      ...range(count).map((i): Instruction[] => [
        { op: 'store', word: i + 1, from: 1 },
        { op: 'load', word: 0, into: 0 },
      ]),
    ],
  };
}

/**
 * `last zero` (Abdulla et al., POPL 2014, section 8): a task looks for the last 0 of an array while
 * `count` others set an element each to its left neighbour's value plus 1.
 */
export function lastZero(count: number): Program {
  const search: Instruction[] = [
    { op: 'compute', into: 0, from: count, plus: 0 },
    { op: 'load', word: 0, index: 0, into: 1 },
    { op: 'branch', register: 1, equals: 0, by: 3 },
    { op: 'compute', into: 0, from: { reg: 0 }, plus: -1 },
    { op: 'branch', register: 2, equals: 0, by: -3 },
  ];
  return {
    name: `last zero ${count}`,
    words: range(count + 1).map(() => 0),
    order: 'sc',
    tasks: [
      search,
      ...range(count).map((i): Instruction[] => [
        { op: 'load', word: i, into: 0 },
        { op: 'compute', into: 0, from: { reg: 0 }, plus: 1 },
        { op: 'store', word: i + 1, from: { reg: 0 } },
      ]),
    ],
  };
}

/** Each philosopher takes the fork on the left, then the one on the right: a deadlock. */
export function philosophers(count: number): Program {
  return {
    name: `${count} philosophers`,
    words: range(count).map(() => 0),
    order: 'sc',
    tasks: range(count).map((i): Instruction[] => [
      { op: 'acquire', word: i },
      { op: 'acquire', word: (i + 1) % count },
      { op: 'store', word: i, from: 0 },
      { op: 'store', word: (i + 1) % count, from: 0 },
    ]),
  };
}

/** Tasks add 1 to a word under a lock that blocks, or that is tried and waited for. */
export function counters(count: number, lock: 'blocks' | 'spins', order: Order = 'sc'): Program {
  const section: Instruction[] = [
    { op: 'load', word: 1, into: 1 },
    { op: 'compute', into: 1, from: { reg: 1 }, plus: 1 },
    { op: 'store', word: 1, from: { reg: 1 } },
    { op: 'store', word: 0, from: 0 },
  ];
  const enter: Instruction[] =
    lock === 'blocks'
      ? [{ op: 'acquire', word: 0 }]
      : [
          { op: 'cas', word: 0, expected: 0, to: 1, into: 0 },
          { op: 'branch', register: 0, equals: 1, by: 3 },
          { op: 'wait', until: [{ word: 0, equals: 0 }] },
          { op: 'branch', register: 0, equals: 0, by: -3 },
        ];
  return {
    name: `${count} counters, lock ${lock} ${order}`,
    words: [0, 0],
    order,
    tasks: range(count).map(() => [...enter, ...section]),
    final: [{ word: 1, equals: count }],
  };
}

/**
 * A shootdown: the first task clears an entry (word 0), interrupts the others, waits until each has
 * answered, and frees the page (word 1). The others read the entry and, if it was there, the page.
 * `patient: false` leaves the waiting out.
 */
export function flush(accessors: number, patient: boolean, order: Order = 'sc'): Program {
  const waits = range(accessors).map((i) => ({ word: 2 + i, equals: 1 }));
  return {
    name: `flush of ${accessors}${patient ? '' : ', impatient'} ${order}`,
    words: [1, 1, ...range(accessors).map(() => 0)],
    order,
    tasks: [
      [
        { op: 'store', word: 0, from: 0 },
        { op: 'fence' },
        ...range(accessors).map((i): Instruction => ({ op: 'raise', task: i + 1 })),
        ...(patient ? ([{ op: 'wait', until: waits }] as const) : []),
        { op: 'store', word: 1, from: 0 },
      ],
      ...range(accessors).map((i): Instruction[] => [
        { op: 'load', word: 0, into: 0 },
        { op: 'branch', register: 0, equals: 0, by: 3 },
        { op: 'load', word: 1, into: 1 },
        { op: 'assert', register: 1, differs: 0 },
        { op: 'halt', arrived: 1 },
        { op: 'store', word: 2 + i, from: 1 },
      ]),
    ],
  };
}
