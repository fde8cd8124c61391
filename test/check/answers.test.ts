/**
 * Two flushes that no common lock orders (the start of logging, and an unmapping) call one CPU at
 * once. The handler of such a call must not be interrupted by the next: between its look and its
 * answer another would answer more, and then it would answer less (docs/found.md).
 */
import { expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import type { Design } from '../../src/design/system.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import { host, type Litmus, write } from '../../src/litmus/litmus.ts';
import { VECTOR_CALL } from '../../src/machine/instruction.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import type { Harts } from '../../src/schedule/explore/harts.ts';

const LITMUS: Litmus = {
  id: 'two-calls',
  title: 'two flushes call one CPU',
  source: 'kvm_make_all_cpus_request',
  pages: 4,
  mapped: { first: 0, end: 4 },
  guests: [[write(0)]],
  hosts: [[host('log-start', 0)], [host('unmap', 2)]],
};

/** The same handler, without what keeps it from being interrupted. */
function* open(me: Context, handler: Routine<void>): Routine<void> {
  for (let step = handler.next(); step.done !== true; step = handler.next(yield step.value)) {
    me.masked = false;
  }
}

function withOpenHandler(design: Design): Design {
  return {
    ...design,
    build: (machine, ...rest) => {
      const system = design.build(machine, ...rest);
      const answer = machine.hostVectors.get(VECTOR_CALL)!;
      machine.hostVectors.set(VECTOR_CALL, (cpu, me) => open(me, answer(cpu, me)));
      return system;
    },
  };
}

/** Moves of one CPU, by what says it. */
class Driver {
  readonly #harts: Harts;

  constructor(harts: Harts) {
    this.#harts = harts;
  }

  /** Takes a move of the CPU's code, or an interrupt's arrival; false if there is none. */
  step(cpu: number, what: 'code' | 'interrupt'): boolean {
    const isWanted = (said: string): boolean =>
      said.startsWith(`cpu${cpu} `) &&
      said.endsWith('interrupt arrives') === (what === 'interrupt');
    const move = this.#harts.moves().find((each) => isWanted(this.#harts.describe(each)));
    if (move === undefined) return false;
    this.#harts.take(move);
    return true;
  }

  /** Until the CPU offers an act of the label. */
  until(cpu: number, label: string): void {
    while (this.#harts.view(cpu).label !== label) expect(this.step(cpu, 'code')).toBe(true);
  }

  /** Everything that still can happen, in any order. */
  finish(): string | undefined {
    const any = (cpu: number): boolean => this.step(cpu, 'code') || this.step(cpu, 'interrupt');
    while ([0, 1, 2].some(any));
    return this.#harts.atEnd();
  }
}

/** Both flushers have seen the guest run; the second calls while the first call is answered. */
function callTwice(design: Design): string | undefined {
  const choice = { ...parseDesign('tdp:log=protect'), design };
  const { harts } = buildScene({ choice, litmus: LITMUS, order: 'sc', weaken: [] });
  const driver = new Driver(harts);
  driver.until(0, 'guest.write');
  for (const cpu of [1, 2]) driver.until(cpu, 'flush.call');
  for (let i = 0; i < 2; i++) driver.step(1, 'code'); // calls, and interrupts
  driver.step(0, 'interrupt');
  driver.until(0, 'call.look');
  driver.step(0, 'code');
  for (let i = 0; i < 2; i++) driver.step(2, 'code');
  driver.step(0, 'interrupt');
  return driver.finish();
}

test('a call that comes while another is answered is answered too', () => {
  const { design } = parseDesign('tdp');
  expect(callTwice(design)).toBeUndefined();
});

test('without interrupts off the later answer is lost, and its flusher waits for ever', () => {
  const { design } = parseDesign('tdp');
  expect(callTwice(withOpenHandler(design))).toMatch(/^progress\.deadlock: cpu2 host\.1/);
});
