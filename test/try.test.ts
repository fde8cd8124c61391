import { it } from 'vitest';
import { exam } from '/work/wt/guest/test/rooms/exam.ts';
it('try', () => {
  for (const w of (process.env.WS ?? '').split(' ')) for (const v of (process.env.VS ?? '1,2').split(',').map(Number)) for (const d of (process.env.DS ?? 'tdp nested kpop').split(' ')) {
    try {
    const r = exam(d, w, { vcpus: v, conditions: JSON.parse(process.env.CS ?? '{}') });
    console.log(d, w, v, 'ops', r.operations, 'exits', r.counts.exits, 'nested', r.counts.nested, 'ipis', r.counts.ipis, 'fl', r.counts.flushes, 'z', r.counts.pagesZeroed, 'cp', r.counts.pagesCopied, 'cyc/op', Math.round(r.cycles * v / r.operations), r.exitsByReason.map((e) => `${e.reason}/L${e.level}=${e.count}`).join(' '));
    } catch (e) { console.log(d, w, v, String((e as Error).stack).slice(0, 600)); }
  }
});
