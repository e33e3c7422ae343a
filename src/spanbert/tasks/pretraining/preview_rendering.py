"""Masked text for people: in a terminal's colours, with brackets in plain text, or as a web page."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.text import Text

from spanbert.tasks.pretraining.masking import Action
from spanbert.visible_text import for_terminal

_STYLES = {Action.MASK: "black on green", Action.RANDOM: "black on yellow", Action.KEEP: "black on cyan"}
_BRACKETS = {Action.MASK: "[]", Action.RANDOM: "{}", Action.KEEP: "<>"}
_LEGEND = {Action.MASK: "becomes [MASK]", Action.RANDOM: "becomes random pieces", Action.KEEP: "is kept"}


@dataclass(frozen=True)
class SpanPreview:
    """A masked span: code points of its block's text, what becomes of it, its size, and what the encoder sees."""

    start: int
    end: int
    action: Action
    num_words: int
    num_pieces: int
    seen: str


@dataclass(frozen=True)
class BlockPreview:
    """A block as the user wrote it, from line `line` of `source` on, and its masked spans.

    `num_pieces` is counted without [CLS] and [SEP], `budget` is how many of them were to be masked.
    """

    source: str
    line: int
    text: str
    num_pieces: int
    budget: int
    spans: tuple[SpanPreview, ...]

    def parts(self) -> Iterator[tuple[str, SpanPreview | None]]:
        """Yield the whole text in parts: each masked span, and what is between them."""
        end = 0
        for span in self.spans:
            # One character can be several pieces, of which not all are masked: it is shown with the first span.
            start = max(span.start, end)
            yield self.text[end:start], None
            yield self.text[start : span.end], span
            end = max(span.end, end)
        yield self.text[end:], None


def describe(blocks: Sequence[BlockPreview]) -> str:
    """Return the counts of some blocks in one line."""
    spans = [span for block in blocks for span in block.spans]
    num_pieces = sum(block.num_pieces for block in blocks)
    num_masked = sum(span.num_pieces for span in spans)
    words = sum(span.num_words for span in spans) / max(len(spans), 1)
    actions = Counter(span.action for span in spans)
    return (
        f"masked {num_masked:,} of {num_pieces:,} pieces ({num_masked / num_pieces:.1%}; "
        f"budget {sum(block.budget for block in blocks):,}) in {len(spans):,} span{'' if len(spans) == 1 else 's'} "
        f"of {words:.1f} words on average: "
        f"{actions[Action.MASK]} [MASK], {actions[Action.RANDOM]} random, {actions[Action.KEEP]} kept"
    )


def print_blocks(blocks: Sequence[BlockPreview], stream: TextIO) -> None:
    """Write blocks as text: in colours to a terminal that has them, else with brackets around spans."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    in_colour = console.is_terminal and console.color_system is not None and not console.no_color

    def marked(text: str, action: Action) -> Text:
        if in_colour:
            return Text(text, style=_STYLES[action])
        opening, closing = tuple(_BRACKETS[action])
        return Text(f"{opening}{text}{closing}")

    for block in blocks:
        console.print(Text(f"{block.source}, line {block.line}: {describe([block])}", style="dim"))
        line = Text()
        for text, span in block.parts():
            shown = for_terminal(text)
            line.append_text(Text(shown) if span is None else marked(shown, span.action))
        console.print(line, end="\n\n")
    legend = Text(", ").join(Text.assemble(marked("span", action), f" {text}") for action, text in _LEGEND.items())
    console.print(legend.append("; all of it is predicted"))
    console.print(describe(blocks))


def write_html(blocks: Sequence[BlockPreview], stream: TextIO) -> None:
    """Write blocks as one web page that loads nothing; the tooltip of a span says what the encoder sees."""
    stream.write(_PAGE_START)
    marks = (f"<mark class={action.name.lower()}>{html.escape(text)}</mark>" for action, text in _LEGEND.items())
    stream.write(f"<p>{', '.join(marks)}; all of it is predicted. {html.escape(describe(blocks))}.</p>\n")
    for block in blocks:
        title = f"{block.source}, line {block.line}: {describe([block])}"
        stream.write(f"<h2>{html.escape(title)}</h2>\n<p class=text dir=auto>")
        for text, span in block.parts():
            shown = html.escape(for_terminal(text))
            if span is not None:
                seen = html.escape(for_terminal(span.seen))
                shown = f'<mark class={span.action.name.lower()} title="{seen}">{shown}</mark>'
            stream.write(shown)
        stream.write("</p>\n")


_PAGE_START = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Masked spans</title>
<style>
  :root { color-scheme: light dark }
  body { max-width: 45rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif }
  h2 { font-size: 0.8rem; font-weight: normal; color: gray; margin: 2rem 0 0 }
  .text { white-space: pre-wrap; margin: 0.3rem 0 }
  mark { border-radius: 0.2rem; padding: 0 0.1rem; color: black }
  .mask { background: #8fd694 }
  .random { background: #f4c95d }
  .keep { background: #8ecae6 }
</style>
<h1>Masked spans</h1>
"""
