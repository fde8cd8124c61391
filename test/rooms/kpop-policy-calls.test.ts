/**
 * POLICY against an L1 that may publish anything: what is refused, that a refused table changes
 * nothing and costs no frame, and that what is in force is L0's copy.
 */
import { describe, expect, it } from 'vitest';
import { Status } from '../../src/abi/kpop.ts';
import {
  CPUID_LIMIT,
  CPUID_ROW_BYTES,
  CpuidRow,
  HLT_BY_L0,
  MSR_EOI,
  MSR_ICR,
  MSR_LIMIT,
  MsrClass,
  PolicyPage,
} from '../../src/abi/kpop-policy.ts';
import { Random } from '../../src/base/random.ts';
import { runAtBoot } from '../../src/design/boot.ts';
import { attachRcu } from '../../src/design/host.ts';
import { hostPlatform } from '../../src/design/system.ts';
import { writePolicy } from '../../src/guest/l1/kpop-policy.ts';
import { AnonymousBacking } from '../../src/hypervisor/backing/anonymous.ts';
import { classIn, cpuidIn, Policy } from '../../src/hypervisor/kpop/policy.ts';
import type { Vm } from '../../src/hypervisor/vcpu.ts';
import { Machine } from '../../src/machine/machine.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';

const PAGE = 1;

class Bench {
  readonly machine = new Machine({
    preset: intelCascadeLake,
    cpus: 1,
    trace: { event: () => undefined },
    softwareScale: 1,
    levels: { second: 4, first: 4 },
  });
  readonly platform = hostPlatform(this.machine);
  readonly l1 = new AnonymousBacking(this.platform, [{ base: 0, pages: 4 }]);
  readonly policy = new Policy(this.platform);
  readonly page: number;

  constructor() {
    const vm: Vm = { name: 'l1', platform: this.platform, vcpus: [] };
    this.policy.rcu = attachRcu(this.platform, [vm]);
    const frame = this.platform.frames.reserve(this.machine.memory, 1);
    this.l1.install(this.machine.memory, PAGE, frame);
    this.page = frame * 4096;
  }

  write(at: number, value: number): void {
    this.machine.memory.write(this.page + at, value);
  }

  /** The table that L1 publishes as a rule, with one word changed. */
  table(version: number, at = PolicyPage.version as number, value = version): void {
    this.machine.memory.zeroFrame(this.page / 4096);
    const write = (to: number, word: number): void => this.machine.memory.write(to, word);
    writePolicy({ write, spend: () => undefined }, this.page, version);
    this.write(at, value);
  }

  call<T>(what: (cpu: Context) => Routine<T>): T {
    let answer: T | undefined;
    runAtBoot(this.machine, function* one(me): Routine<void> {
      answer = yield* what(me);
    });
    return answer!;
  }

  publish(page = PAGE): number {
    const { policy, l1 } = this;
    return this.call((cpu) => policy.publish(cpu, l1, page));
  }

  /** What a leaf and a register are answered by; undefined: by L1. */
  answers(leaf: number, msr: number): readonly [number | undefined, number | undefined] {
    const { policy } = this;
    return this.call(function* look(cpu): Routine<readonly [number | undefined, number]> {
      const table = yield* policy.look(cpu);
      if (table < 0) return [undefined, MsrClass.exit] as const;
      return [cpuidIn(cpu, table, leaf, 0), classIn(cpu, table, msr).kind] as const;
    });
  }
}

const msrs = PolicyPage.rows + 8 * CPUID_ROW_BYTES;

describe('what is published', () => {
  it('is in force, as a copy: what L1 writes to its page afterwards is not', () => {
    const bench = new Bench();
    expect(bench.answers(2, MSR_EOI)).toEqual([undefined, MsrClass.exit]);
    bench.table(1);
    expect(bench.publish()).toBe(Status.ok);
    bench.write(PolicyPage.rows + 2 * CPUID_ROW_BYTES + CpuidRow.eax, 7);
    expect(bench.answers(2, MSR_EOI)).toEqual([0x102, MsrClass.emulate]);
    expect(bench.answers(99, 0x10)).toEqual([undefined, MsrClass.exit]);
  });

  it('replaces older versions only', () => {
    const bench = new Bench();
    bench.table(5);
    expect(bench.publish()).toBe(Status.ok);
    for (const version of [5, 4]) {
      bench.table(version);
      expect(bench.publish()).toBe(Status.stale);
    }
    bench.table(6, PolicyPage.rows + CpuidRow.eax, 0x600);
    expect(bench.publish()).toBe(Status.ok);
    expect(bench.answers(0, MSR_ICR)).toEqual([0x600, MsrClass.emulate]);
  });
});

describe('what is refused', () => {
  it.each<[string, number, number]>([
    ['version 0', PolicyPage.version, 0],
    ['a version that is no exact number', PolicyPage.version, 2 ** 52 + 2],
    ['too many leaves', PolicyPage.cpuids, CPUID_LIMIT + 1],
    ['too many registers', PolicyPage.msrs, MSR_LIMIT + 1],
    ['a flag that does not exist', PolicyPage.flags, 2],
    ['an unknown patch', PolicyPage.rows + CpuidRow.patch, 2],
    ['a reserved word', PolicyPage.rows + 56, 1],
    ['an unknown class', msrs + 8, 3],
    ['a register that L0 cannot emulate', msrs + 8, MsrClass.emulate],
    ['vCPUs that L0 wakes and L1 puts to sleep', PolicyPage.flags, HLT_BY_L0 - 1],
  ])('%s', (_, at, value) => {
    const bench = new Bench();
    bench.table(1);
    bench.publish();
    bench.table(2, at, value);
    expect(bench.publish()).toBe(Status.invalid);
    expect(bench.answers(0, MSR_ICR)).toEqual([0x100, MsrClass.emulate]);
  });

  it('a page that is no memory of L1', () => {
    expect(new Bench().publish(4)).toBe(Status.fault);
  });
});

it('random pages: refused or in force, and no frame is lost', () => {
  const bench = new Bench();
  const random = new Random(5);
  const { memory } = bench.machine;
  const places = [8, 16, 24, 64, 72, 112, msrs, msrs + 8, msrs + 24];
  const values = [0, 1, 2, 3, 41, 49, 2 ** 31, 2 ** 52, MSR_ICR];
  const frames = new Set<number>();
  let [version, refused] = [0, 0];
  for (let i = 0; i < 600; i++) {
    const at = places[random.below(places.length)]!;
    bench.table(version + 1, at, values[random.below(values.length)]!);
    const status = bench.publish();
    const now = memory.read(bench.policy.current);
    if (status === Status.ok) version++;
    else refused++;
    expect(status === Status.ok || status === Status.invalid).toBe(true);
    if (version > 0) expect(memory.read(now * 4096 + PolicyPage.version)).toBe(version);
    frames.add(now);
  }
  expect(Math.min(version, refused)).toBeGreaterThan(50);
  expect(frames.size).toBeLessThan(8); // those of old versions come back
});
