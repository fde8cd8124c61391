/**
 * The style sheet of the HTML report: system fonts, one column of text, two of figures where the
 * page is wide enough; light and dark as the reader's system asks. `k1` is the ink on `c1`.
 */

const light = `
  --page: #f9f9f7; --card: #ffffff; --ink: #14140f; --soft: #52514e; --faint: #6f6e69;
  --line: #e1e0d9; --accent: #2a78d6; --accent-soft: #b9d4f3; --code: #f0efea;
  --c1: #2a78d6; --c2: #1baf7a; --c3: #eda100; --c4: #008300;
  --c5: #4a3aa7; --c6: #e34948; --c7: #e87ba4; --c8: #eb6834; --rest: #a8a69e;
  --k1: #fff; --k2: #000; --k3: #000; --k4: #fff; --k5: #fff; --k6: #000; --k7: #000; --k8: #000;`;

const dark = `
  --page: #111110; --card: #1b1b19; --ink: #f4f4f0; --soft: #c3c2b7; --faint: #9b9a92;
  --line: #31312d; --accent: #3987e5; --accent-soft: #1f4470; --code: #262623;
  --c1: #3987e5; --c2: #199e70; --c3: #c98500; --c4: #008300;
  --c5: #9085e9; --c6: #e66767; --c7: #d55181; --c8: #d95926; --rest: #7d7c75;
  --k1: #000; --k2: #000; --k3: #000; --k4: #fff; --k5: #000; --k6: #000; --k7: #000; --k8: #000;`;

const series = Array.from({ length: 8 }, (_, i) => {
  const n = i + 1;
  return `.bar.c${n}, .point.c${n} { fill: var(--c${n}); } .line.c${n} { stroke: var(--c${n}); }
.in.c${n} { fill: var(--k${n}); } .key.c${n} { background: var(--c${n}); color: var(--k${n}); }`;
}).join('\n');

const page = `
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 80rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 1rem; font-weight: 650;
  letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 3rem 0 .9rem; font-weight: 650; }
h3 { font-size: 1rem; margin: 0; font-weight: 650; }
p { margin: 0 0 .8rem; }
.eyebrow { color: var(--faint); margin: 0; font-size: .85rem; letter-spacing: .04em; }
.lede { font-size: 1.1rem; max-width: 62rem; overflow-wrap: anywhere; border-left: 3px solid
  var(--accent); padding-left: 1rem; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2.2rem; margin: 1.6rem 0 0; padding: 0; }
.facts div { min-width: 5rem; } .facts dt { color: var(--faint); font-size: .8rem; }
.facts dd { margin: 0; font-weight: 550; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.25rem; margin: 0; min-width: 0; }
.figures { display: grid; gap: 1rem; margin-top: 2.2rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 62rem) { .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .figures > :last-child:nth-child(odd) { grid-column: 1 / -1; display: grid; column-gap: 2.5rem;
    align-items: center; grid-template-columns: minmax(0, 46rem) minmax(0, 1fr); }
  .figures > :last-child:nth-child(odd) > :is(figcaption, details) { grid-column: 1 / -1; }
  .figures > :last-child:nth-child(odd) .legend { flex-direction: column; } }
figcaption p, .quiet { color: var(--soft); font-size: .9rem; }
figcaption p { margin: .1rem 0 .9rem; overflow-wrap: anywhere; }
.none { color: var(--soft); margin: .8rem 0 0; }
svg { display: block; width: 100%; max-width: 46rem; height: auto; overflow: visible; }
svg.narrow { display: none; }
@media (max-width: 34rem) { svg.narrow { display: block; } svg.wide { display: none; }
  main, header, footer { padding-left: 1rem; padding-right: 1rem; } h1 { font-size: 1.5rem; } }
`;

const figures = `
svg text { font-size: 12.5px; fill: var(--ink); paint-order: stroke; stroke: var(--card);
  stroke-width: 4px; stroke-linejoin: round; font-variant-numeric: tabular-nums; }
svg .value { fill: var(--soft); } svg .tick { fill: var(--faint); font-size: 11.5px; }
svg .in { font-size: 11px; font-weight: 600; stroke: none; } svg .end { font-weight: 600; }
.bar { stroke: var(--card); stroke-width: 1.5; } .bar.rest { fill: var(--rest); }
.in.rest { fill: #000; } .key.rest { background: var(--rest); color: #000; }
.grid { stroke: var(--line); }
.reference { stroke: var(--faint); stroke-dasharray: 3 3; }
.span { stroke: var(--accent-soft); stroke-width: 6; stroke-linecap: round; }
circle.dot { fill: var(--accent); stroke: var(--card); stroke-width: 1.5; }
circle.ring { fill: var(--card); stroke: var(--accent); stroke-width: 2; }
rect.box { fill: var(--card); stroke: var(--accent); stroke-width: 2; }
rect.p99 { fill: var(--accent-soft); } rect.p50 { fill: var(--accent); }
.line { fill: none; stroke-width: 2.25; stroke-linejoin: round; }
.point { stroke: var(--card); stroke-width: 1.5; }
${series}
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding: 0;
  margin: .5rem 0 0; font-size: .85rem; color: var(--soft); }
.legend li { overflow-wrap: anywhere; }
.key { display: inline-block; min-width: 1.25rem; height: 1.15rem; line-height: 1.15rem;
  padding: 0 .2rem; border-radius: 4px; text-align: center; vertical-align: text-bottom;
  font-size: .72rem; font-weight: 650; }
.key.p50 { background: var(--accent); } .key.p99 { background: var(--accent-soft); }
.mark { display: inline-block; width: .8rem; height: .8rem; vertical-align: -.08rem; }
.mark.dot { background: var(--accent); border-radius: 50%; }
.mark.ring { border: 2px solid var(--accent); border-radius: 50%; }
.mark.box { border: 2px solid var(--accent); }`;

const tables = `
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem;
  font-variant-numeric: tabular-nums; }
.caption { color: var(--faint); font-size: .8rem; margin: 0; }
details .caption { margin-top: .7rem; }
th, td { padding: .45rem .55rem; text-align: right; border-top: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
thead th { border-top: 0; color: var(--soft); font-weight: 550; vertical-align: bottom;
  white-space: normal; min-width: 4.2rem; }
th:first-child, td:first-child, .left th, .left td { text-align: left; }
th:first-child { padding-left: 0; } tr > :last-child { padding-right: 0; }
tbody th { font-weight: 600; white-space: normal; overflow-wrap: anywhere; min-width: 8.5rem; }
tbody tr.gap > * { border-top: 2px solid var(--rest); }
td .sub, th .sub { display: block; color: var(--faint); font-size: .8rem; font-weight: 400; }
.left tbody th { min-width: 11rem; }
.left td:last-child { white-space: normal; min-width: 16rem; color: var(--soft); }
details { margin-top: .9rem; } summary { cursor: pointer; color: var(--soft); font-size: .88rem; }
ul.plain { margin: 0; padding-left: 1.2rem; } ul.plain li { margin-bottom: .35rem; }
ul.names { margin-top: .9rem; color: var(--soft); font-size: .9rem; list-style: none;
  padding: 0; }
.of { color: var(--faint); font-size: .85rem; }
code, pre { font-family: ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace; }
.try { list-style: none; padding: 0; margin: 0; display: grid; gap: .7rem;
  grid-template-columns: minmax(0, 1fr); }
.try code { display: block; background: var(--code); border-radius: 7px; padding: .6rem .8rem;
  font-size: .86rem; overflow-x: auto; white-space: pre; }
.columns { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 62rem) { .columns { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
footer { padding-top: 2.5rem; padding-bottom: 3rem; color: var(--faint); font-size: .82rem;
  overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media print { body { background: #fff; } .card { break-inside: avoid; } }`;

export const style = `:root { color-scheme: light dark; ${light} }
@media (prefers-color-scheme: dark) { :root { ${dark} } }
${page}
${figures}
${tables}`;
