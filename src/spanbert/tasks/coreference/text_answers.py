"""`spanbert predict --format text`: a line for each chain."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.tasks.coreference.chains import Chains, one_line, percent
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction, PredictedMention
from spanbert.visible_text import for_terminal

_STYLES = ("blue", "red", "green", "magenta", "yellow", "cyan")


class TextAnswers:
    """A block for each document: its counts, each chain on a line, and what is mentioned once on the last.

    Behind a mention stand its offsets (code points, end exclusive) and the probability of its link.
    """

    def __init__(self, source: str) -> None:
        self._num_parts = 0

    def start(self) -> Text:
        """Nothing."""
        return Text()

    def part(self, answer: Answer[CoreferenceExample, CoreferencePrediction] | ErrorRecord) -> Text:
        """The block of a document, or the line of an error."""
        lines = Text("\n" if self._num_parts else "")
        self._num_parts += 1
        if isinstance(answer, ErrorRecord):
            id = "" if answer.id in (None, str(answer.line)) else f" ({answer.id})"
            lines.append(for_terminal(one_line(f"line {answer.line:,}{id}")), "bold")
            return lines.append(for_terminal(f": error: {' '.join(answer.error.split())}\n"), "red")
        chains = Chains.of(answer.example.text, answer.prediction)
        lines.append(for_terminal(one_line(answer.example.id)), "bold").append(f": {chains.summary()}\n")
        width = len(str(len(chains.chains)))
        for chain in chains.chains:
            style = _STYLES[(chain.number - 1) % len(_STYLES)]
            lines.append(f"  {chain.number:>{width}}", f"bold {style}").append("  ")
            lines.append_text(_listed(answer.example.text, chain.mentions, style)).append("\n")
        if chains.alone:
            lines.append("  once: ", "dim").append_text(_listed(answer.example.text, chains.alone, "")).append("\n")
        return lines

    def end(self) -> Text:
        """Nothing."""
        return Text()


def _listed(text: str, mentions: Iterable[PredictedMention], style: str) -> Text:
    listed = Text()
    for mention in mentions:
        listed.append(", " if listed else "")
        listed.append(for_terminal(one_line(text[mention.start : mention.end])), style)
        listed.append(f" [{mention.start}:{mention.end}]", "dim")
        if mention.probability is not None:
            listed.append(f" {percent(mention.probability)}", "dim")
    return listed
