"""The frame of a report: one HTML page that loads nothing, for any width, light and dark."""

from __future__ import annotations

from spanbert.evaluation.text_marking import escaped

_STYLE = """
:root {
  color-scheme: light dark;
  --text: #1b1f24; --soft: #59636e; --page: #ffffff; --card: #f6f8fa; --line: #d1d9e0; --heat: 52, 120, 198;
  --right: #d3f1dc; --right-edge: #1a7f37; --wrong: #ffdcd0; --wrong-edge: #bc3a00;
  --missed: #d8e9ff; --missed-edge: #0b5cc0; --shown: #ececec; --shown-edge: #6b7280;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6edf3; --soft: #9aa4af; --page: #0d1117; --card: #161b22; --line: #30363d; --heat: 88, 150, 225;
    --right: #143d22; --right-edge: #56d17c; --wrong: #4d2010; --wrong-edge: #ff9b6b;
    --missed: #122f57; --missed-edge: #7ab7ff; --shown: #2a2f36; --shown-edge: #9aa4af;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 62rem; color: var(--text); background: var(--page);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif;
}
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; }
.soft, .note { color: var(--soft); }
.note { font-size: .875rem; }
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
.text, article dd, article .question { unicode-bidi: isolate; white-space: pre-wrap; overflow-wrap: anywhere; }
mark { color: inherit; border-radius: 3px; padding: .05em 0; }
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
.control { font-size: .7em; color: var(--soft); border: 1px solid var(--line); border-radius: 3px; padding: 0 .2em; }
footer { margin: 3rem 0 1rem; }
@media (max-width: 36rem) {
  body { padding: .7rem; font-size: 15px; }
}
"""


def page(title: str, body: str) -> str:
    """A whole page; nothing in it may load anything from elsewhere or run.

    Args:
        title: as text.
        body: as HTML.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{escaped(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""
