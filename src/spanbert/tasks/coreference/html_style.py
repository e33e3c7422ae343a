"""The looks of the page of chains: colours that differ in every kind of eye, on light and dark; lines that nest."""

from __future__ import annotations

NUM_COLOURS = 6
"""Chains take turns with the colours `k0` to `k5`, then with these and a dashed line; the numbers tell them apart."""
NUM_LEVELS = 5
"""Lines under a text that are told apart."""

# After Okabe and Ito's palette for the colour-blind, darkened or lightened until text on the page is readable.
_LIGHT = ("#0068a6", "#b84700", "#007457", "#9c3f7b", "#7d6200", "#4f5a66")
_DARK = ("#62b8ee", "#ff9561", "#3ccfa4", "#ec9fcb", "#dfc12f", "#a9b4bf")

STYLE = (
    ":root {"
    + "".join(f" --k{number}: {colour};" for number, colour in enumerate(_LIGHT))
    + " }\n@media (prefers-color-scheme: dark) { :root {"
    + "".join(f" --k{number}: {colour};" for number, colour in enumerate(_DARK))
    + " } }\n"
    + "".join(f".k{number} {{ --k: var(--k{number}); }}\n" for number in range(NUM_COLOURS))
    + "".join(f"mark.l{level} {{ padding-bottom: {4 * level}px; }}\n" for level in range(1, NUM_LEVELS + 1))
    + """
body { max-width: 72rem; }
h2 { overflow-wrap: anywhere; }
.unnamed:only-of-type h2 { display: none; }
.columns { display: grid; grid-template-columns: minmax(0, 48rem) 18rem; gap: 2rem;
  justify-content: space-between; align-items: start; }
.columns > .text { line-height: 2.1; unicode-bidi: plaintext; }
nav { position: sticky; top: 1rem; max-height: calc(100vh - 2rem); overflow-y: auto;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .4rem;
  font-size: .875rem; }
nav h3 { font-size: .8rem; font-weight: 500; color: var(--soft); margin: 0 .5rem .3rem; }
nav ol { list-style: none; margin: 0; padding: 0; }
nav li { display: flex; gap: .5rem; align-items: baseline; padding: .1rem .5rem; border-radius: 4px;
  border-left: 4px solid var(--k); margin: .15rem 0; }
nav li.dashed { border-left-style: dashed; }
nav li a { flex: 1; min-width: 0; color: inherit; text-decoration: none; overflow-wrap: anywhere; }
nav li a:hover { text-decoration: underline; }
nav b { color: var(--k); }
nav .quoted { display: block; font-size: .92em; color: var(--soft); }
nav em { font-style: normal; font-weight: 600; }
nav small { color: var(--soft); white-space: nowrap; }
mark, nav li { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
mark { padding-top: .1em; border-radius: 3px 3px 0 0; border-bottom: 2px solid var(--k);
  -webkit-box-decoration-break: clone; box-decoration-break: clone;
  background: color-mix(in srgb, var(--k) 13%, transparent); scroll-margin: 30vh; }
.line { border-bottom: 2px solid var(--k); padding-bottom: 1px; }
mark.dashed, .line.dashed { border-bottom-style: dashed; }
mark.once, .line.once { background: none; border-bottom: 1px solid color-mix(in srgb, var(--soft) 70%, transparent); }
mark a { font-size: .68em; font-weight: 700; color: var(--k); text-decoration: none; vertical-align: .45em;
  line-height: 1; padding: 0 .1em 0 .15em; user-select: none; -webkit-user-select: none; }
/* Labels go on in the direction of the last letter of their mention, or else they drift off where it changes; so the
   order of the text stays what it was. Isolated marks would tear a phrase of English in a paragraph of Hebrew. */
mark a { unicode-bidi: embed; direction: ltr; }
mark a.rtl { direction: rtl; }
mark a.any, .text .control { unicode-bidi: isolate; }
.text .control { direction: ltr; }
mark a:hover { text-decoration: underline; }
mark.on, nav li.on { background: color-mix(in srgb, var(--k) 30%, transparent); }
mark:target { outline: 2px solid var(--k); outline-offset: 1px; }
.error { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--k1); border-radius: 8px;
  padding: .5rem .9rem; margin: 1.5rem 0; }
.error h2 { font-size: 1rem; margin: 0; }
.error p { white-space: pre-wrap; overflow-wrap: anywhere; }
.to-list { display: none; color: inherit; }
@media (max-width: 52rem) {
  .columns { grid-template-columns: minmax(0, 1fr); gap: 1rem; }
  nav { position: static; max-height: 70vh; scroll-margin: 1rem; }
  .to-list { display: inline; margin-left: .5em; }
}
@media print {
  .columns { display: block; }
  nav { position: static; max-height: none; margin-top: 1.5rem; padding: .6rem 0; background: none;
    border-width: 1px 0 0; border-radius: 0; }
  nav h3 { break-after: avoid; }
  nav ol { columns: 14rem; }
  nav li { break-inside: avoid; margin: 0 0 .3rem; }
  .to-list { display: none; }
}
"""
)

SCRIPT = """
let shown = null;
function show(target) {
  const chosen = target.closest ? target.closest("[data-c]") : null;
  if (chosen === shown) return;
  document.querySelectorAll(".on").forEach(element => element.classList.remove("on"));
  shown = chosen;
  if (chosen) chosen.closest("section").querySelectorAll('[data-c="' + chosen.dataset.c + '"]')
    .forEach(element => element.classList.add("on"));
}
document.addEventListener("mouseover", event => show(event.target));
document.addEventListener("focusin", event => show(event.target));
"""
