"""The page of a report."""

from __future__ import annotations

from spanbert.html_page import PAGE_END, page_start

_STYLE = """
:root {
  --heat: 52, 120, 198;
  --right: #d3f1dc; --right-edge: #1a7f37; --wrong: #ffdcd0; --wrong-edge: #bc3a00;
  --missed: #d8e9ff; --missed-edge: #0b5cc0; --shown: #ececec; --shown-edge: #6b7280;
}
@media (prefers-color-scheme: dark) {
  :root {
    --heat: 88, 150, 225;
    --right: #143d22; --right-edge: #56d17c; --wrong: #4d2010; --wrong-edge: #ff9b6b;
    --missed: #122f57; --missed-edge: #7ab7ff; --shown: #2a2f36; --shown-edge: #9aa4af;
  }
}
nav a { margin-right: .9rem; color: inherit; }
.main { font-size: 2rem; font-weight: 650; line-height: 1.2; margin-top: 1rem; }
.main small { font-size: 1rem; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .925rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
th[scope=row], tr > :first-child { text-align: left; }
table.heat { font-size: .8rem; }
table.heat th, table.heat td { padding: .2rem .3rem; }
table.heat td { min-width: 2.1rem; text-align: center; }
table.heat td.diagonal { outline: 1px solid var(--soft); outline-offset: -2px; }
table.heat th { max-width: 11rem; overflow: hidden; text-overflow: ellipsis; }
table.heat thead th {
  writing-mode: vertical-rl; transform: rotate(180deg); max-width: none; max-height: 11rem; text-align: left;
}
svg { display: block; width: 100%; max-width: 44rem; height: auto; }
svg.narrow { max-width: 26rem; }
article {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; margin: .8rem 0;
}
article h3 { font-size: .8rem; font-weight: 500; color: var(--soft); margin: 0 0 .4rem; overflow-wrap: anywhere; }
article .question { font-weight: 600; }
article dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .7rem; margin: .5rem 0 0; }
article dt { color: var(--soft); }
article dd { margin: 0; }
article dd, article .question { unicode-bidi: isolate; white-space: pre-wrap; overflow-wrap: anywhere; }
mark.right { background: var(--right); border-bottom: 2px solid var(--right-edge); }
mark.wrong { background: var(--wrong); border-bottom: 2px dashed var(--wrong-edge); }
mark.missed { background: var(--missed); border-bottom: 3px dotted var(--missed-edge); }
mark.shown { background: var(--shown); border-bottom: 1px solid var(--shown-edge); }
.label {
  unicode-bidi: isolate; font-size: .7rem; font-weight: 600; margin: 0 .25em 0 .15em; white-space: nowrap;
  vertical-align: .3em; line-height: 1;
}
.label.right { color: var(--right-edge); } .label.wrong { color: var(--wrong-edge); }
.label.missed { color: var(--missed-edge); } .label.shown { color: var(--shown-edge); }
.cut { color: var(--soft); padding: 0 .3em; cursor: help; }
footer { margin: 3rem 0 1rem; }
"""


def page(title: str, body: str) -> str:
    """A whole page; nothing in it may load anything from elsewhere or run.

    Args:
        title: as text.
        body: as HTML.
    """
    return f"{page_start(title, style=_STYLE)}{body}\n{PAGE_END}"
