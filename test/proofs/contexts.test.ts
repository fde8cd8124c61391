/**
 * Proof b: contexts are values that a scheduler holds (enter returns an exit; park, migrate, kill),
 * words are declared plain or atomic, entries are decoded, and mini geometry says what the manual's
 * says.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tdpFault } from '../../src/hypervisor/mmu/tdp/fault.ts';
import type { TdpMmu } from '../../src/hypervisor/mmu/tdp/mmu.ts';
import { tdpUnmap } from '../../src/hypervisor/mmu/tdp/zap.ts';
import { VcpuWords } from '../../src/hypervisor/vcpu.ts';
import { ExitReason } from '../../src/machine/exit.ts';
import { ept } from '../../src/machine/format/ept.ts';
import { type Geometry, MANUAL_4 } from '../../src/machine/format/format.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import {
  cpuid,
  enter,
  sendIpi,
  VECTOR_CALL,
  vmptrld,
  vmread,
} from '../../src/machine/instruction.ts';
import { Machine } from '../../src/machine/machine.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { Field, fieldAt } from '../../src/machine/vmcs.ts';
import { completeAct } from '../../src/machine/world-switch.ts';
import { num, type Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import { atomic, atomicLine, layout, plain, plainLine } from '../../src/runtime/layout.ts';
import { fanOut } from '../../src/runtime/trace.ts';
import { Stage } from '../../src/schedule/explore/stage.ts';
import { runTimed } from '../../src/schedule/timed.ts';
import { buildPair, MINI, type Pair } from './pair.ts';
import { mappedFrames, strayMapping } from './promises.ts';
import { buildScene, touching, unmapping } from './scenes.ts';

const VMCS = [1, 2];
const TURN = 0x5000;

function bareMachine(): Machine {
  const machine = new Machine({ preset: intelCascadeLake, cpus: 2, trace: fanOut([]) });
  for (const vmcs of VMCS) machine.memory.write(fieldAt(vmcs, Field.eptp), 0x9000);
  return machine;
}

function* enterOnce(cpu: Context, vmcs: number, guest: GuestContext): Routine<number> {
  yield vmptrld(cpu, vmcs, 'test.load');
  yield enter(cpu, guest, 'test.enter');
  return num(yield vmread(cpu, Field.exitReason, 'test.reason'));
}

test('context: enter returns an exit, parks the guest, and another CPU may enter it', () => {
  const machine = bareMachine();
  const seen: unknown[] = [];
  const guest = machine.guest(1, 'guest');
  guest.push(
    (function* body(): Routine<void> {
      seen.push(num(yield cpuid(guest, 7, 'guest.first')));
      yield cpuid(guest, 8, 'guest.second');
    })(),
  );
  machine.hostThread(0, 'first', function* first(cpu): Routine<void> {
    seen.push(yield* enterOnce(cpu, VMCS[0]!, guest), guest.cpu);
    completeAct(guest.top, 42);
    yield cpu.store(TURN, 1, 'test.turn');
  });
  machine.hostThread(1, 'second', function* second(cpu): Routine<void> {
    yield cpu.wait([TURN], () => cpu.peek(TURN) === 1, 'test.wait');
    seen.push(yield* enterOnce(cpu, VMCS[1]!, guest), guest.top.act.label);
    guest.kill();
  });
  expect(runTimed(machine).stuck).toEqual([]);
  expect(seen).toEqual([ExitReason.cpuid, -1, 42, ExitReason.cpuid, 'guest.second']);
  expect(guest.finished).toBe(true);
});

test('context: the act that caused an exit is tried again on the next CPU, and not lost', () => {
  const machine = bareMachine();
  const format = machine.translator.secondStage;
  const guest = machine.guest(1, 'guest');
  guest.push(
    (function* body(): Routine<void> {
      yield guest.store(0x3008, 99, 'guest.store');
      yield cpuid(guest, 0, 'guest.done');
    })(),
  );
  const reasons: number[] = [];
  machine.hostThread(0, 'first', function* first(cpu): Routine<void> {
    reasons.push(yield* enterOnce(cpu, VMCS[0]!, guest));
    const rights = { read: true, write: true, execute: true, user: true };
    for (let level = 3; level > 0; level--) {
      const table = (12 - level) * 4096; // tables 9, 10, 11, 12
      yield cpu.storeWord(table, format.table(13 - level), 'test.link');
    }
    yield cpu.storeWord(12 * 4096 + 24, format.leaf({ pfn: 20, level: 0, rights }), 'test.map');
    yield cpu.store(TURN, 1, 'test.turn');
  });
  machine.hostThread(1, 'second', function* second(cpu): Routine<void> {
    yield cpu.wait([TURN], () => cpu.peek(TURN) === 1, 'test.wait');
    reasons.push(yield* enterOnce(cpu, VMCS[1]!, guest));
    guest.kill();
  });
  expect(runTimed(machine).stuck).toEqual([]);
  expect(reasons).toEqual([ExitReason.eptViolation, ExitReason.cpuid]);
  expect(machine.memory.read(20 * 4096 + 8)).toBe(99);
});

/** Ends the thread on `cpu` and the guest that it may have entered, between two acts. */
function killThread(machine: Machine, cpu: number): void {
  const at = machine.cpus[cpu]!;
  if (at.guest !== undefined) {
    at.guest.cpu = -1;
    at.guest.kill();
    at.guest = undefined;
  }
  at.host!.kill();
  at.host!.masked = false;
  at.current = undefined;
}

test('context: a vCPU thread killed at any step leaves words; others go on or wait', () => {
  const outcomes = { done: 0, waiting: 0 };
  for (let steps = 0; ; steps++) {
    const scene = buildScene({ guests: [touching([0])], owners: [unmapping(0, 1)] });
    const stage = new Stage(scene.engine, []);
    for (let i = 0; i < steps && stage.moves().includes(0); i++) stage.take(0);
    if (!stage.moves().includes(0)) break; // it has ended by itself
    killThread(scene.machine, 0);
    for (let moves = stage.moves(); moves.length > 0; moves = stage.moves()) stage.take(moves[0]!);
    expect(scene.always()).toBeUndefined();
    if (stage.unfinished().length === 0) {
      outcomes.done++;
      expect(scene.atQuiescence()).toBeUndefined();
    } else {
      outcomes.waiting++; // it died with the lock that the owner wants
      expect(stage.unfinished()).toEqual(['owner.0']);
    }
  }
  expect(outcomes.done).toBeGreaterThan(20);
  expect(outcomes.waiting).toBeGreaterThan(3);
});

test('context: an idle CPU answers interrupts after its thread has ended', () => {
  const machine = bareMachine();
  machine.hostVectors.set(VECTOR_CALL, function* answer(_cpu, host): Routine<void> {
    yield host.store(TURN, 1, 'test.answer');
  });
  machine.hostThread(0, 'short', function* short(cpu): Routine<void> {
    yield cpu.fence('test.nothing');
  });
  machine.hostThread(1, 'caller', function* caller(cpu): Routine<void> {
    for (let i = 0; i < 100; i++) yield cpu.fence('test.later');
    yield sendIpi(cpu, 0, VECTOR_CALL, 'test.kick');
    yield cpu.wait([TURN], () => cpu.peek(TURN) === 1, 'test.wait');
  });
  expect(runTimed(machine).stuck).toEqual([]);
});

test('layout: fields have kinds and lines; plain words take no step, atomic ones one each', () => {
  const words = layout('test.words', { a: atomic, b: plain, c: atomicLine, d: plainLine });
  expect(words).toMatchObject({
    bytes: 192,
    at: { a: 0, b: 8, c: 64, d: 128 },
    kinds: { a: 'atomic', b: 'plain', c: 'atomic', d: 'plain' },
  });
  expect(VcpuWords.at.requests - VcpuWords.at.mode).toBe(8); // one line, as in struct kvm_vcpu
  const machine = bareMachine();
  machine.hostThread(0, 'counter', function* count(cpu): Routine<void> {
    for (let i = 0; i < 100; i++) cpu.write(TURN + words.at.b, cpu.read(TURN + words.at.b) + 1);
    yield cpu.add(TURN + words.at.a, 1, 'test.atomic');
  });
  expect(runTimed(machine).steps).toBe(1);
  expect(machine.memory.read(TURN + words.at.b)).toBe(100);
});

test('entry: decoded when the word arrives, so that the next act may reuse the word', () => {
  const format = ept(MANUAL_4);
  const machine = bareMachine();
  const kinds: string[] = [];
  machine.hostThread(0, 'reader', function* read(cpu): Routine<void> {
    yield cpu.storeWord(TURN, format.table(77), 'test.first');
    yield cpu.storeWord(TURN + 8, format.empty, 'test.second');
    const first = format.decode(yield cpu.load(TURN, 'test.look'), 1);
    const second = format.decode(yield cpu.load(TURN + 8, 'test.look-again'), 1);
    kinds.push(first.kind, second.kind, String(first.pfn));
  });
  runTimed(machine);
  expect(kinds).toEqual(['table', 'empty', '77']);
});

interface Edit {
  readonly what: 'map' | 'unmap';
  readonly first: number;
  readonly count: number;
}

const SIXTEEN = 16;

/** The edits done by the product's fault and unmap in tables of `geometry`. */
function edited(geometry: Geometry, edits: readonly Edit[]): Pair {
  const pair = buildPair({
    geometry,
    pages: SIXTEEN,
    pool: 512,
    guests: [],
    owners: [(cpu, mmu) => edit(cpu, mmu, edits)],
  });
  expect(runTimed(pair.machine).stuck).toEqual([]);
  expect(strayMapping(pair)).toBeUndefined();
  return pair;
}

function* edit(cpu: Context, mmu: TdpMmu, edits: readonly Edit[]): Routine<void> {
  for (const { what, first, count } of edits) {
    const end = Math.min(first + count, SIXTEEN);
    if (what === 'unmap') yield* tdpUnmap(cpu, mmu, [{ first, end }], 'free');
    else
      for (let gfn = first; gfn < end; gfn++) yield* tdpFault(cpu, mmu, { gfn, access: 'write' });
  }
}

test('geometry: mini tables and the manual’s hold the same abstract map', () => {
  const oneEdit = fc.record({
    what: fc.constantFrom('map' as const, 'unmap' as const),
    first: fc.nat(SIXTEEN - 1),
    count: fc.integer({ min: 1, max: 6 }),
  });
  const shapes: Geometry[] = [MANUAL_4, { levels: 4, indexBits: 1 }, { levels: 2, indexBits: 2 }];
  fc.assert(
    fc.property(fc.array(oneEdit, { maxLength: 12 }), (edits) => {
      const expected = new Set<number>();
      for (const { what, first, count } of edits) {
        for (let gfn = first; gfn < Math.min(first + count, SIXTEEN); gfn++) {
          if (what === 'map') expected.add(gfn);
          else expected.delete(gfn);
        }
      }
      for (const geometry of shapes) {
        const found = [...mappedFrames(edited(geometry, edits)).keys()];
        expect(found).toEqual([...expected].sort((a, b) => a - b));
      }
    }),
    { numRuns: 60, seed: 7 },
  );
  expect(MINI).toEqual({ levels: 2, indexBits: 1 });
});
