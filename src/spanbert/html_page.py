"""The frame of an HTML page: one file that loads nothing, for any width, light and dark."""

from __future__ import annotations

import base64
import hashlib

from spanbert.visible_text import escaped_attribute

_STYLE = """
:root {
  color-scheme: light dark;
  --text: #1b1f24; --soft: #59636e; --page: #ffffff; --card: #f6f8fa; --line: #d1d9e0;
}
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9aa4af; --page: #0d1117; --card: #161b22; --line: #30363d; }
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
.text { unicode-bidi: isolate; white-space: pre-wrap; overflow-wrap: anywhere; }
mark { color: inherit; border-radius: 3px; padding: .05em 0; }
.control { font-size: .7em; color: var(--soft); border: 1px solid var(--line); border-radius: 3px; padding: 0 .2em; }
@media (max-width: 36rem) {
  body { padding: .7rem; font-size: 15px; }
}
"""

PAGE_END = "</body>\n</html>\n"
"""What ends a page."""


def page_start(title: str, *, style: str = "", script: str = "") -> str:
    """What begins a page, up to its body; nothing in it may load anything from elsewhere, or run but the script.

    Args:
        title: as text.
        style: CSS besides that of all pages (their colours, `.text`, `mark`, `.soft`, `.note`).
        script: JavaScript that adds comfort; the page must do without.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f" script-src 'sha256-{digest}';" if script else ""
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:;{allowed}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escaped_attribute(title)}</title>
<style>{_STYLE}{style}</style>
{f"<script>{script}</script>" if script else ""}</head>
<body>
"""
