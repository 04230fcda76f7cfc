"""The style sheet of a report: light, dark and paper."""

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c2430; --soft: #5b6675;
  --line: #d5dae1; --panel: #f5f7f9; --accent: #1f5fa8; --good: #17703b; --bad: #b3261e;
  --open: #8a5a00; --grid: #f3dada; --grid-strong: #e3b4b4; --band: #fdecea; --on-bad: #ffffff;
  --s: #8a4b00; --v: #5b2a9d; --f: #00647a;
  --vectors: #6b7686; --text: #7ea6d8; --rodata: #a9cfa4; --data: #e6c36a; --bss: #d9a6c4;
  --stack: #e58f65; --reserve: #f4d3bf; --other: #b8b8b8; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --ink: #e4e8ee; --soft: #a0abb9;
  --line: #37414e; --panel: #1b2129; --accent: #7fb2ee; --good: #6fd197; --bad: #ff8a80;
  --open: #f0bd5e; --grid: #2a2327; --grid-strong: #4a363b; --band: #3a1f1f; --on-bad: #12161c;
  --s: #f0ae5e; --v: #c6a4ff; --f: #66d0e4;
  --vectors: #8c97a6; --text: #3f6ea8; --rodata: #457b4b; --data: #8a6d1d; --bss: #84496b;
  --stack: #a8542c; --reserve: #5b3a29; --other: #666666; } }
@media print { :root { color-scheme: light; --page: #ffffff; --ink: #000000; --soft: #444444;
  --line: #bbbbbb; --panel: #f5f7f9; --accent: #1f5fa8; --good: #17703b; --bad: #b3261e;
  --open: #8a5a00; --grid: #f3dada; --grid-strong: #e3b4b4; --band: #fdecea; --on-bad: #ffffff;
  --s: #8a4b00; --v: #5b2a9d; --f: #00647a;
  --vectors: #6b7686; --text: #7ea6d8; --rodata: #a9cfa4; --data: #e6c36a; --bss: #d9a6c4;
  --stack: #e58f65; --reserve: #f4d3bf; --other: #b8b8b8; }
  main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  tr, svg { break-inside: avoid; } }
@page { margin: 14mm; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 2px; }
h2 { font-size: 19px; margin: 40px 0 8px; padding-bottom: 4px;
  border-bottom: 1px solid var(--line); }
p { margin: 6px 0; max-width: 92ch; }
.subtitle, .note { color: var(--soft); }
.note { font-size: 13.5px; }
.verdict { margin: 18px 0; padding: 12px 16px; border-left: 5px solid; background: var(--panel);
  max-width: none; }
.verdict strong { display: block; font-size: 17px; }
.verdict.good { border-color: var(--good); } .verdict.good strong, td.good { color: var(--good); }
.verdict.bad { border-color: var(--bad); } .verdict.bad strong, td.bad { color: var(--bad); }
.verdict.open { border-color: var(--open); } .verdict.open strong { color: var(--open); }
td.good, td.bad { font-weight: 600; }
.verdict ul { margin: 4px 0 0; padding-left: 20px; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.9em; }
dl.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 10px;
  margin: 0; }
dl.keys div { border: 1px solid var(--line); border-radius: 6px; padding: 8px 12px; }
dl.keys dt { color: var(--soft); font-size: 12.5px; } dl.keys dd { margin: 0; font-size: 19px; }
dl.keys dd small { display: block; color: var(--soft); font-size: 12.5px; }
.wide { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; white-space: nowrap; color: var(--soft); font-size: 13.5px;
  padding-bottom: 4px; }
th, td { padding: 3px 12px; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { font-weight: 600; } th:first-child, th.word, td.word { text-align: left; }
thead th { vertical-align: bottom; background: var(--panel); }
tbody th { font-weight: 500; }
td.hash { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12.5px;
  text-align: left; white-space: normal; overflow-wrap: anywhere; }
td.prose { text-align: left; white-space: normal; }
.range { color: var(--soft); font-size: 12px; }
td.heat { background: color-mix(in srgb, var(--accent) calc(var(--part) * 55%), var(--page)); }
td.miss { background: color-mix(in srgb, var(--bad) calc(var(--part) * 55%), var(--page)); }
td.heat, td.miss { min-width: 72px; border: 1px solid var(--line); }
td.bar { min-width: 96px; background: linear-gradient(to left,
  color-mix(in srgb, var(--accent) 28%, var(--page)) calc(var(--part) * 100%), transparent 0); }
figure { margin: 18px 0; } figcaption { font-weight: 600; margin-bottom: 4px; font-size: 14px; }
svg { display: block; width: 100%; height: auto; margin: 0 0 6px; }
svg text { font-size: 11px; fill: var(--soft); }
.beat { text-anchor: middle; font-weight: 700; font-size: 12.5px; }
svg .beat-S { fill: var(--s); } svg .beat-V { fill: var(--v); } svg .beat-F { fill: var(--f); }
svg .beat-N { font-weight: 400; }
svg .wrong { fill: var(--on-bad); } .wrong-box { fill: var(--bad); }
.wrong-band { fill: var(--band); }
.middle { text-anchor: middle; } .end { text-anchor: end; }
svg .lead { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--grid); stroke-width: 1; fill: none; }
.grid-strong { stroke: var(--grid-strong); stroke-width: 1; fill: none; }
.axis1 { opacity: 0.55; } .axis2 { opacity: 0.3; }
.trace { stroke: var(--ink); stroke-width: 1; fill: none; stroke-linejoin: round; }
.outline { fill: none; stroke: var(--soft); } .funnel { stroke: var(--soft); stroke-dasharray: 3 3;
  fill: none; }
svg .inside { fill: var(--ink); }
.segment-vectors { fill: var(--vectors); background: var(--vectors); }
.segment-text { fill: var(--text); background: var(--text); }
.segment-rodata { fill: var(--rodata); background: var(--rodata); }
.segment-data { fill: var(--data); background: var(--data); }
.segment-bss { fill: var(--bss); background: var(--bss); }
.segment-stack { fill: var(--stack); background: var(--stack); }
.segment-reserve { fill: var(--reserve); background: var(--reserve); }
.segment-other { fill: var(--other); background: var(--other); }
.swatch { display: inline-block; width: 11px; height: 11px; margin-right: 6px;
  border: 1px solid var(--soft); }
ul.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 0; padding: 0;
  font-size: 13px; color: var(--soft); }
@media print { body { font-size: 12px; } .wide { overflow: visible; } table { font-size: 10px; }
  th, td { padding: 2px 5px; } thead th, td.word { white-space: normal; }
  .note, caption, ul.legend, dl.keys dt, dl.keys dd small { font-size: 10.5px; }
  h1 { font-size: 22px; } h2 { font-size: 15px; margin-top: 24px; } figcaption { font-size: 12px; }
  td.bar { min-width: 52px; } td.hash, .range { font-size: 9px; }
  dl.keys { grid-template-columns: repeat(5, 1fr); } dl.keys dd { font-size: 15px; }
  dl.keys div { padding: 5px 8px; } }
"""
