"""The look of the report's page, and its only script: plain text, put into the page as it is."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #59626e; --paper: #ffffff;
  --panel: #f5f6f8; --line: #d5d9df; --link: #0b5cad; --best: #e3eefb; --good: #d5f0dc;
  --good-ink: #0f5323; --bad: #fbdcd8; --bad-ink: #8a1a12; --miss: #fdeecb; --miss-ink: #6b4700;
  --note: #e2e6f5; --note-ink: #2f3a70; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #a0aab6; --paper: #14171a;
  --panel: #1e2328; --line: #3a424b; --link: #7ab8ff; --best: #1d3653; --good: #17402a;
  --good-ink: #a8e6bb; --bad: #4f201d; --bad-ink: #ffb9b2; --miss: #463714; --miss-ink: #f5d58c;
  --note: #2a3154; --note-ink: #c5cdf7; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.2rem; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; overflow-wrap: anywhere; }
a { color: var(--link); }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); margin: .6rem 0 0;
  padding: .5rem 0; border-bottom: 1px solid var(--line); overflow-x: auto; white-space: nowrap;
  scrollbar-width: thin; }
nav a { margin-right: 1rem; font-size: .92rem; text-decoration: none; }
nav a:hover { text-decoration: underline; }
p { margin: .4rem 0; max-width: 50rem; }
.note, small, caption, figcaption { color: var(--soft); font-size: .86rem; }
.wide { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .3rem; }
th, td { padding: .28rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; background: var(--panel); font-weight: 600; }
thead th.number { white-space: normal; }
th > small, td > small { display: block; font-weight: 400; white-space: nowrap; font-size: .76rem; }
tbody th { font-weight: 500; white-space: nowrap; position: sticky; left: 0;
  background: var(--paper); }
tbody td:first-child { white-space: nowrap; }
th.number, td.number { text-align: right; white-space: nowrap; }
th.group { text-align: center; }
th.first, td.first { border-left: 1px solid var(--line); }
td.average { font-weight: 600; }
td.best { background: var(--best); font-weight: 700; }
td.sure { font-weight: 700; }
tbody tr:hover > td { background: var(--panel); }
tbody tr:hover > td.best { background: var(--best); }
figure { margin: .8rem 0 1.2rem; overflow-x: auto; }
svg { max-width: 100%; min-width: 34rem; height: auto; color: var(--ink); }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 4px;
  padding: .8rem; overflow: auto; max-height: 32rem; font-size: .82rem; line-height: 1.4; }
details { border: 1px solid var(--line); border-radius: 4px; margin: .4rem 0;
  padding: .3rem .8rem; }
summary { cursor: pointer; overflow-wrap: anywhere; }
.text { overflow-wrap: anywhere; }
td.text { min-width: 20rem; }
.ids { display: block; font-size: .78rem; color: var(--soft); overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; margin: .8rem 0; padding: .5rem .8rem;
  background: var(--panel); border-radius: 4px; font-size: .9rem; }
form[hidden] { display: none; }
select { max-width: 15rem; font: inherit; }
.query { border-top: 1px solid var(--line); margin: .8rem 0 0; padding: .5rem 0; }
.query blockquote { margin: .3rem 0; padding: .1rem 0 .1rem .8rem;
  border-left: 3px solid var(--line); line-height: 1.9; }
.answer { margin: .7rem 0 .7rem .8rem; padding-left: .8rem; border-left: 3px solid var(--line); }
.answer p { max-width: none; line-height: 1.9; }
.answer p.said { color: var(--soft); font-size: .86rem; line-height: 1.5; white-space: pre-wrap; }
.answer details { font-size: .92rem; }
.item, mark { color: inherit; background: none; border-radius: 3px; padding: .08em .25em;
  -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.item { border: 1px solid var(--line); overflow-wrap: anywhere; }
.right { background: var(--good); color: var(--good-ink); }
.wrong { background: var(--bad); color: var(--bad-ink); border-bottom: 2px solid; }
.missed { background: var(--miss); color: var(--miss-ink); border-bottom: 2px dashed; }
.gold { background: var(--note); color: var(--note-ink); }
mark small { margin-left: .35em; color: inherit; font-size: .7em; white-space: nowrap; }
@media (max-width: 40rem) { main { padding: 1rem .8rem 3rem; } h2 { margin-top: 2rem; }
  .answer { margin-left: 0; } mark small { white-space: normal; }
  details { padding: .3rem .5rem; } td.text { min-width: 15rem; } }
@media print { details { break-inside: avoid; } nav { position: static; white-space: normal; }
  .wide, pre { overflow: visible; max-height: none; } }
"""

#: The filter of the predictions; without it everything is shown and the form stays away.
SCRIPT = """
for (const form of document.forms) {
  const shown = document.getElementById(form.id + "-shown");
  const apply = () => {
    const { dataset, system, wrong } = form.elements;
    let total = 0;
    for (const fold of document.querySelectorAll("[data-dataset]")) {
      let count = 0;
      for (const query of fold.querySelectorAll(".query")) {
        let some = false;
        for (const answer of query.querySelectorAll(".answer")) {
          answer.hidden = system.value && answer.dataset.system !== system.value
            || wrong.checked && !("wrong" in answer.dataset);
          some ||= !answer.hidden;
          total += !answer.hidden && (!dataset.value || dataset.value === fold.dataset.dataset);
        }
        query.hidden = !some;
        count += some;
      }
      fold.hidden = !count || dataset.value && fold.dataset.dataset !== dataset.value;
      if (dataset.value && !fold.hidden) fold.open = true;
    }
    shown.textContent = total + " answers";
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
"""
