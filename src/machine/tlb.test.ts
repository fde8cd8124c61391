/**
 * What the TLB may keep and what each invalidation drops, and only that (Intel SDM vol. 3, 28.4;
 * primer/x86.md 1.3), against a map of entries with their tags: first the array itself, then the
 * instructions.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Routine } from '../runtime/act.ts';
import { runTimed } from '../schedule/timed.ts';
import type { Cpu } from './cpu.ts';
import {
  enter,
  invept,
  inveptAll,
  invlpg,
  invvpid,
  loadCr3,
  vmcall,
  vmptrld,
} from './instruction.ts';
import { Machine } from './machine.ts';
import { intelCascadeLake } from './preset/intel-cascade-lake.ts';
import { type MappingKind, Tlb } from './tlb.ts';
import { Field, fieldAt } from './vmcs.ts';

interface Tag {
  readonly kind: MappingKind;
  readonly vpid: number;
  readonly pcid: number;
  readonly ep4ta: number;
}

/** Every tag that differs from another in one respect. Numbers irrelevant to a kind are 0. */
const TAGS: readonly Tag[] = [
  { kind: 'linear', vpid: 0, pcid: 0, ep4ta: 0 },
  ...[1, 2].flatMap((vpid) =>
    [1, 2].flatMap((pcid) => [
      { kind: 'linear' as const, vpid, pcid, ep4ta: 0 },
      ...[7, 8].map((ep4ta) => ({ kind: 'combined' as const, vpid, pcid, ep4ta })),
    ]),
  ),
  { kind: 'guest-physical', vpid: 0, pcid: 0, ep4ta: 7 },
  { kind: 'guest-physical', vpid: 0, pcid: 0, ep4ta: 8 },
];
const PAGES = [0, 1, 2, 0x400000, 0x7ffffffff];
const GROUPS = [1, 2, 3].map((group) => group << 12);
const READ_WRITE = 3;

/** What is cached, by tag and page; no policy, no bound. */
class Model {
  readonly pages = new Map<string, { tag: Tag; page: number; frame: number }>();
  readonly structures = new Map<string, { tag: Tag; group: number; frame: number }>();

  drop(hit: (tag: Tag) => boolean): void {
    for (const [key, { tag }] of this.pages) if (hit(tag)) this.pages.delete(key);
    for (const [key, { tag }] of this.structures) if (hit(tag)) this.structures.delete(key);
  }

  dropPage(of: Tag, page: number): void {
    this.pages.delete(keyOf(of, page));
    for (const [key, { tag }] of this.structures) if (tag === of) this.structures.delete(key);
  }
}

function keyOf(tag: Tag, page: number): string {
  return `${TAGS.indexOf(tag)}:${page}`;
}

function spaceOf(tlb: Tlb, { kind, vpid, pcid, ep4ta }: Tag): number {
  return tlb.space(kind, vpid, pcid, ep4ta);
}

const shape = { sets: 8, ways: 256, structures: 1 << 15 };

function expectSame(tlb: Tlb, model: Model): void {
  for (const tag of TAGS) {
    const space = spaceOf(tlb, tag);
    for (const page of PAGES) {
      const expected = model.pages.get(keyOf(tag, page))?.frame ?? -1;
      expect(tlb.lookup(space, page, READ_WRITE), keyOf(tag, page)).toBe(expected);
    }
    for (const group of GROUPS) {
      const expected = model.structures.get(keyOf(tag, group))?.frame ?? -1;
      expect(tlb.structure(space, group), `structure ${keyOf(tag, group)}`).toBe(expected);
    }
  }
}

/** Fills both with every tag on every page, each with a frame of its own. */
function filled(tlb = new Tlb(shape)): { tlb: Tlb; model: Model } {
  const model = new Model();
  let frame = 100;
  for (const tag of TAGS) {
    for (const page of PAGES) put(tlb, model, tag, page, frame++);
    for (const group of GROUPS) putStructure(tlb, model, tag, group, frame++);
  }
  return { tlb, model };
}

function put(tlb: Tlb, model: Model, tag: Tag, page: number, frame: number): void {
  tlb.insert(spaceOf(tlb, tag), page, frame, READ_WRITE);
  model.pages.set(keyOf(tag, page), { tag, page, frame });
}

function putStructure(tlb: Tlb, model: Model, tag: Tag, group: number, frame: number): void {
  const space = spaceOf(tlb, tag);
  tlb.insertStructure(space, group, { host: frame, guest: frame + 1 }, READ_WRITE);
  model.structures.set(keyOf(tag, group), { tag, group, frame });
}

/** Each invalidation with the tags that the manual says it drops. */
const DROPS: readonly [string, (tlb: Tlb) => void, (tag: Tag) => boolean][] = [
  ['INVEPT single', (tlb) => tlb.invept(7), (t) => t.kind !== 'linear' && t.ep4ta === 7],
  ['INVEPT all', (tlb) => tlb.inveptAll(), (t) => t.kind !== 'linear'],
  ['INVVPID single', (tlb) => tlb.invvpid(1), (t) => t.kind !== 'guest-physical' && t.vpid === 1],
  ['INVVPID all', (tlb) => tlb.invvpidAll(), (t) => t.kind !== 'guest-physical' && t.vpid !== 0],
  [
    'CR3 load',
    (tlb) => tlb.dropPcid(1, 2),
    (t) => t.kind !== 'guest-physical' && t.vpid === 1 && t.pcid === 2,
  ],
  ['reset', (tlb) => tlb.dropAll(), () => true],
];

describe('array: one entry for every tag and page, structure caches included', () => {
  it.each(DROPS)('%s drops what the manual names and nothing else', (_name, apply, hit) => {
    const { tlb, model } = filled();
    expectSame(tlb, model);
    const before = model.pages.size;
    apply(tlb);
    model.drop(hit);
    expectSame(tlb, model);
    expect(model.pages.size).toBeLessThan(before);
  });

  it('INVLPG drops one page and the structure caches of one address space', () => {
    const { tlb, model } = filled();
    const tag = TAGS.find(({ kind }) => kind === 'combined')!;
    tlb.dropPage(spaceOf(tlb, tag), PAGES[1]!);
    model.dropPage(tag, PAGES[1]!);
    expectSame(tlb, model);
  });

  it('a hit has every right asked for: write only where the entry has it', () => {
    const { tlb } = filled();
    const space = spaceOf(tlb, TAGS[1]!);
    tlb.insert(space, 9, 5, 1);
    expect([1, 2, 3].map((rights) => tlb.lookup(space, 9, rights))).toEqual([5, -1, -1]);
    tlb.insert(space, 9, 5, 3);
    expect([1, 2, 3].map((rights) => tlb.lookup(space, 9, rights))).toEqual([5, 5, 5]);
  });
});

const anyTag = fc.constantFrom(...TAGS);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('put'), anyTag, fc.constantFrom(...PAGES)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('link'), anyTag, fc.constantFrom(...GROUPS)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('page'), anyTag, fc.constantFrom(...PAGES)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('drop'), anyTag, fc.nat(DROPS.length - 1)) },
);

describe('array against the map of entries', () => {
  it('any sequence of fills and invalidations: hits are the same', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const tlb = new Tlb(shape);
        const model = new Model();
        steps.forEach(([what, tag, operand], i) => {
          if (what === 'put') put(tlb, model, tag, operand, 100 + i);
          else if (what === 'link') putStructure(tlb, model, tag, operand, 100 + i);
          else if (what === 'page') {
            tlb.dropPage(spaceOf(tlb, tag), operand);
            model.dropPage(tag, operand);
          } else {
            DROPS[operand]![1](tlb);
            model.drop(DROPS[operand]![2]);
          }
        });
        expectSame(tlb, model);
      }),
      { numRuns: 60 },
    );
  });

  it('a small array evicts: what it still has is never stale', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const tlb = new Tlb({ sets: 2, ways: 2, structures: 4 });
        const model = new Model();
        steps.forEach(([what, tag, operand], i) => {
          if (what === 'put') put(tlb, model, tag, operand, 100 + i);
          else if (what === 'drop') {
            DROPS[operand]![1](tlb);
            model.drop(DROPS[operand]![2]);
          }
        });
        for (const tag of TAGS) {
          for (const page of PAGES) {
            const hit = tlb.lookup(spaceOf(tlb, tag), page, READ_WRITE);
            if (hit >= 0) expect(hit).toBe(model.pages.get(keyOf(tag, page))?.frame);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

const VMCS = 50;

/** Lets a host thread run `host`, or a guest (VPID 1, PCID 2, EP4TA 7) `guest`, on a filled TLB. */
function onFilledTlb(
  host: (cpu: Parameters<typeof invept>[0]) => Routine<void>,
  guest?: (cpu: Parameters<typeof invept>[0]) => Routine<void>,
): { cpu: Cpu; model: Model } {
  const preset = { ...intelCascadeLake, tlb: shape };
  const machine = new Machine({ preset, cpus: 1, trace: { event: () => undefined } });
  machine.memory.write(fieldAt(VMCS, Field.eptp), 7 * 4096 + 0x5e);
  machine.memory.write(fieldAt(VMCS, Field.vpid), 1);
  const cpu = machine.cpus[0]!;
  const { model } = filled(cpu.tlb);
  machine.hostThread(0, 'host', function* body(me): Routine<void> {
    yield* host(me);
    if (guest === undefined) return;
    const inside = machine.guest(1, 'guest');
    Object.assign(inside.regime, { cr3: 3, pcid: 2 });
    inside.push(
      (function* run(): Routine<void> {
        yield* guest(inside);
        yield vmcall(inside, 0, [], 'test.out');
      })(),
    );
    yield vmptrld(me, VMCS, 'test.vmcs');
    yield enter(me, inside, 'test.enter');
  });
  expect(runTimed(machine).stuck).toEqual([]);
  return { cpu, model };
}

function* idle(): Routine<void> {
  // the guest does it
}

describe('instructions', () => {
  it('INVEPT single and all, in root mode: as the array', () => {
    const single = onFilledTlb(function* run(me): Routine<void> {
      yield invept(me, 7, 'test.invept');
    });
    single.model.drop(DROPS[0]![2]);
    expectSame(single.cpu.tlb, single.model);
    const all = onFilledTlb(function* run(me): Routine<void> {
      yield inveptAll(me, 'test.invept-all');
    });
    all.model.drop(DROPS[1]![2]);
    expectSame(all.cpu.tlb, all.model);
  });

  it('INVVPID, in root mode: combined mappings go, guest-physical ones stay', () => {
    const { cpu, model } = onFilledTlb(function* run(me): Routine<void> {
      yield invvpid(me, 1, 'test.invvpid');
    });
    model.drop(DROPS[2]![2]);
    expectSame(cpu.tlb, model);
  });

  it('INVLPG, in a guest: its own page, nothing guest-physical, nothing of other tags', () => {
    const { cpu, model } = onFilledTlb(idle, function* run(me): Routine<void> {
      yield invlpg(me, PAGES[1]!, 'test.invlpg');
    });
    const own = TAGS.find((t) => t.kind === 'combined' && t.pcid === 2 && t.ep4ta === 7)!;
    model.dropPage(own, PAGES[1]!);
    expectSame(cpu.tlb, model);
  });

  it('MOV to CR3, in a guest: the PCID of this VPID; with the no-flush bit nothing', () => {
    const flushed = onFilledTlb(idle, function* run(me): Routine<void> {
      yield loadCr3(me, 9, 2, 'flush', 'test.cr3');
    });
    flushed.model.drop(DROPS[4]![2]);
    expectSame(flushed.cpu.tlb, flushed.model);
    const kept = onFilledTlb(idle, function* run(me): Routine<void> {
      yield loadCr3(me, 9, 2, 'keep', 'test.cr3');
    });
    expectSame(kept.cpu.tlb, kept.model);
  });

  it('VM entry and exit with VPIDs drop nothing', () => {
    const { cpu, model } = onFilledTlb(idle, idle);
    expectSame(cpu.tlb, model);
  });
});
