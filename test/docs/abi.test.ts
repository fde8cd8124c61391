/** docs/abi.md: its tables are the numbers of `src/abi`, and none is left out. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as abi from '../../src/abi/kpop.ts';
import * as dirty from '../../src/abi/kpop-dirty.ts';
import * as policy from '../../src/abi/kpop-policy.ts';
import * as windows from '../../src/abi/kpop-window.ts';

const text = readFileSync(new URL('../../docs/abi.md', import.meta.url), 'utf8');

/** Rows of the table whose first heading is `head`: by the first cell the second, a number. */
function tableOf(head: string): Record<string, number> {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.startsWith(`| ${head} |`));
  const rows = lines.slice(first + 2);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return Object.fromEntries(
    rows.slice(0, end).map((line) => {
      const [name, value] = line.split('|').slice(1);
      return [name!.trim(), Number(value!.trim())];
    }),
  );
}

/** The n-th table of fields: argument page, state page, policy page. */
function fieldsOf(section: string): Record<string, number> {
  const from = text.slice(text.indexOf(section));
  const rows = [...from.matchAll(/^\| (\w+) \| (\d+) \|/gm)];
  const until = from.indexOf('\n\n', from.indexOf('| field |'));
  const own = rows.filter((row) => row.index < until);
  return Object.fromEntries(own.map((row) => [row[1]!, Number(row[2])]));
}

const upper = (values: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toUpperCase(), value]));

describe('docs/abi.md', () => {
  test('operations and statuses', () => {
    expect(tableOf('operation')).toEqual({
      ...upper(abi.KpopCall),
      DIRTY: dirty.DIRTY_CALL,
      WINDOW: windows.WINDOW_CALL,
      POLICY: policy.POLICY_CALL,
    });
    expect(tableOf('status')).toEqual(upper(abi.Status));
  });

  test('the argument page', () => {
    const { elements, ...header } = fieldsOf('## 3.');
    expect(header).toEqual(abi.ListHeader);
    expect(elements).toBe(abi.LIST_HEADER_BYTES);
    expect(text).toContain(`elements, at most ${abi.LIST_LIMIT}`);
    expect(text).toContain(`MORE = ${abi.FLAG_MORE}`);
    expect(text).toContain(`of them: ${windows.WINDOW_LIMIT} at most`);
    expect(windows.WINDOW_PAGES).toBe(2 ** 18);
    const { on, off, collect } = dirty.DirtyMode;
    expect(text).toContain(`ON = ${on}, OFF = ${off}, COLLECT = ${collect}`);
    expect(text).toContain(
      `| DIRTY | first l2gfn, one element | pages, 1 to ${dirty.DIRTY_LIMIT} |`,
    );
    const { PROT_READ, PROT_WRITE, PROT_EXECUTE, MAP_EXACT_ORDER, MAP_PROMOTE } = abi;
    expect(text).toContain(`READ = ${PROT_READ}, WRITE = ${PROT_WRITE}, EXECUTE = ${PROT_EXECUTE}`);
    expect(text).toContain(`EXACT_ORDER = ${MAP_EXACT_ORDER}, PROMOTE = ${MAP_PROMOTE}`);
  });

  test('elements are packed as it says', () => {
    expect(abi.packPage(5, 9, 3)).toBe(5 + 2 ** 40 * (9 + 64 * 3));
    expect(abi.packTarget(7, 5)).toBe(8 * 7 + 5);
    expect(abi.packAnswer(2, 3)).toBe(2 + 256 * 3);
  });

  test('the state page and reasons of exits', () => {
    const { shadowMsrs, ...state } = fieldsOf('## 5.');
    const { registerCount, ...offsets } = abi.StatePage;
    expect(state).toEqual(offsets);
    expect(shadowMsrs).toBe(policy.SHADOW_MSRS);
    expect(text).toContain(`${registerCount} general registers`);
    expect(text).toContain(`next RUN, at most ${abi.FUSED_LIMIT}`);
    expect(text).toContain(`records of ${abi.FUSED_RECORD_BYTES} bytes`);
    expect(text).toContain(`up to ${abi.INJECT_LIMIT} vectors`);
    expect(tableOf('exit reason')).toEqual({
      interrupted: abi.RUN_INTERRUPTED,
      ...abi.KpopExit,
      refused: abi.RUN_REFUSED,
    });
  });

  test('the policy page', () => {
    expect(fieldsOf('## 7.')).toEqual(policy.PolicyPage);
    expect(tableOf('MSR class')).toEqual(upper(policy.MsrClass));
    expect(text).toContain(`rows of CPUID, at most ${policy.CPUID_LIMIT}`);
    expect(text).toContain(`rows of MSRs, at most ${policy.MSR_LIMIT}`);
    for (const msr of policy.EMULATED) expect(text).toContain(`0x${msr.toString(16)}`);
  });
});
