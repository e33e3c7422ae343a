"""`spanbert predict --format text`: a line for each chain."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from spanbert.prediction_stream import Answer
from spanbert.tasks.coreference.chains import Chains
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction, PredictedMention
from spanbert.text_answers import STYLES, TextWriter, heading, percent, stretch


class TextAnswers(TextWriter[CoreferenceExample, CoreferencePrediction]):
    """A block for each document: its counts, each chain on a line, and what is mentioned once on the last.

    Behind a mention stand its offsets (code points, end exclusive) and the probability of its link.
    """

    def block(self, answer: Answer[CoreferenceExample, CoreferencePrediction]) -> Text:
        """The lines of a document."""
        text = answer.example.text
        chains = Chains.of(text, answer.prediction)
        lines = heading(answer.example.id).append(f"{chains.summary()}\n")
        width = len(str(len(chains.chains)))
        for chain in chains.chains:
            style = STYLES[(chain.number - 1) % len(STYLES)]
            lines.append(f"  {chain.number:>{width}}", f"bold {style}").append("  ")
            lines.append_text(_listed(text, chain.mentions, style)).append("\n")
        if chains.alone:
            lines.append("  once: ", "dim").append_text(_listed(text, chains.alone, "")).append("\n")
        return lines


def _listed(text: str, mentions: Iterable[PredictedMention], style: str) -> Text:
    listed = Text()
    for mention in mentions:
        listed.append(", " if listed else "").append_text(stretch(text, mention.start, mention.end, style))
        if mention.probability is not None:
            listed.append(f" {percent(mention.probability)}", "dim")
    return listed
