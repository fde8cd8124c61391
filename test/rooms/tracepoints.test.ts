/** Tracepoints: nobody hears them who did not ask for them, and whoever does changes nothing. */
import { describe, expect, it } from 'vitest';
import { assemble, cpusFor } from '../../src/design/assemble.ts';
import { parseDesign } from '../../src/design/index.ts';
import { touch } from '../../src/guest/program/basic.ts';
import { guestBody } from '../../src/guest/program/environment.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { Event, Tracepoint, type TraceSink } from '../../src/runtime/trace.ts';
import { runTimed } from '../../src/schedule/timed.ts';

const PAGES = 4;
const FIRST_TRACEPOINT = Math.min(...Object.values(Tracepoint));

/** Remembers what it is told, one line each. */
class Listener implements TraceSink {
  readonly heard: { readonly kind: number; readonly line: string }[] = [];

  event(kind: number, cpu: number, cycle: number, a: number, b: number): void {
    this.heard.push({ kind, line: [kind, cpu, cycle, a, b].join(' ') });
  }

  lines(isWanted: (kind: number) => boolean): string[] {
    return this.heard.filter(({ kind }) => isWanted(kind)).map(({ line }) => line);
  }
}

/** A few faults of `nested`; returns its last cycle. */
function run(trace: TraceSink, tracepoints?: TraceSink): number {
  const demand = { vcpus: 1, pagesPerVcpu: PAGES + 64, stride: 1, hostThreads: 0 };
  const conditions = { l1: 'warm', apicv: 'on', pages: '4k' } as const;
  const site = { preset: intelCascadeLake, cpus: cpusFor(demand), softwareScale: 1 };
  const system = assemble(parseDesign('nested'), {
    ...site,
    trace,
    tracepoints,
    demand,
    conditions,
  });
  for (const env of system.environments) env.cpu.push(guestBody(env, touch(PAGES)));
  return runTimed(system.machine).cycles;
}

describe('tracepoints', () => {
  it('who listens to events hears none; who asks for them hears each; the run is the same', () => {
    const [quiet, events, tracepoints] = [new Listener(), new Listener(), new Listener()];
    expect(run(quiet)).toBe(run(events, tracepoints));
    const isEvent = (kind: number): boolean => kind < FIRST_TRACEPOINT;
    expect(quiet.heard.every(({ kind }) => isEvent(kind))).toBe(true);
    expect(events.heard).toEqual(quiet.heard);
    expect(quiet.lines((kind) => kind === Event.exit).length).toBeGreaterThan(4 * PAGES);
    expect(tracepoints.heard.some(({ kind }) => isEvent(kind))).toBe(false);
    // Each fault sets one leaf of the shadow at least.
    const leaves = tracepoints.lines((kind) => kind === Tracepoint.setSpte);
    expect(leaves.length).toBeGreaterThanOrEqual(PAGES);
  });

  it('one listener to both hears them in the order in which they happen', () => {
    const both = new Listener();
    run(both, both);
    const cycles = both.heard.map(({ line }) => Number(line.split(' ')[2]));
    expect(cycles).toEqual([...cycles].sort((a, b) => a - b));
    expect(new Set(both.heard.map(({ kind }) => kind >= FIRST_TRACEPOINT)).size).toBe(2);
  });
});
