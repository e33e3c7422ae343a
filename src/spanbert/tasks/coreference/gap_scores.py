"""GAP's figures (Webster et al. 2018): F1 of the decisions "the pronoun is A" and "the pronoun is B", as gap_scorer.py
counts them, overall, for masculine and for feminine pronouns; bias is feminine F1 divided by masculine F1.

The scorer takes decisions; clusters become decisions so: the pronoun is A when one cluster holds both the pronoun, span
for span, and the mention of A. That is
    1. the mention with A's own span; else
    2. the narrowest one that A stands in ("the actress Ann Lee"), if it does not go on after A's possessive: "Ann's
       sister" is not Ann, though "Ann's" is; else
    3. the widest one within A ("Lee").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.tasks.coreference.examples import AmbiguousPronoun, CoreferenceExample, CoreferencePrediction
from spanbert.tasks.coreference.scores import three_figures

MASCULINE = frozenset({"he", "him", "his"})
FEMININE = frozenset({"she", "her", "hers"})

_GROUPS = ("", "_masculine", "_feminine")
_OWNER = re.compile(r"\s?['’]s?\s+\S")


def mention_of(name: Span, text: str, mentions: Iterable[Span]) -> Span | None:
    """Which of the mentions stands for a name of the text; None: no mention does."""
    around: list[Span] = []
    within: list[Span] = []
    for mention in mentions:
        if mention == name:
            return name
        if mention.start <= name.start and name.end <= mention.end:
            if not _OWNER.match(text[name.end : mention.end]):
                around.append(mention)
        elif name.start <= mention.start and mention.end <= name.end:
            within.append(mention)
    if around:
        return min(around, key=lambda mention: (mention.end - mention.start, mention))
    return min(within, key=lambda mention: (mention.start - mention.end, mention), default=None)


def decisions(text: str, question: AmbiguousPronoun, clusters: Sequence[Sequence[Span]]) -> tuple[bool, bool]:
    """Whether clusters of a text say that the pronoun is A, and that it is B."""
    mentions = {mention for cluster in clusters for mention in cluster}
    linked = {mention for cluster in clusters if question.pronoun in cluster for mention in cluster}
    is_a, is_b = (mention_of(name, text, mentions) in linked for name in (question.a, question.b))
    return is_a, is_b


def gap_counts(example: CoreferenceExample, prediction: CoreferencePrediction | None) -> npt.NDArray[np.float64]:
    """Count the decisions on an example.

    Args:
        example: with GAP's question; a decision whose answer is not known is not counted.
        prediction: None for none at all: both decisions are then false negatives, as gap_scorer.py counts them.

    Returns:
        float64 [3, 3]: true and false positives, false negatives; of all, of masculine, of feminine pronouns.
    """
    counts = np.zeros((len(_GROUPS), 3))
    question = example.pronoun
    if question is None:
        return counts
    decided = (None, None) if prediction is None else decisions(example.text, question, prediction.spans)
    for gold, found in zip((question.is_a, question.is_b), decided, strict=True):
        if gold is not None:
            is_found = bool(found)
            counts[0] += is_found and gold, is_found and not gold, found is None or (gold and not is_found)
    pronoun = example.text[slice(*question.pronoun)].lower()
    for group, pronouns in enumerate((MASCULINE, FEMININE), start=1):
        if pronoun in pronouns:
            counts[group] = counts[0]
    return counts


def gap_figures(counts: npt.NDArray[np.float64]) -> dict[str, float]:
    """F1 in per cent by gender, and their ratio; that is left out where it would be 0 or without bound.

    Args:
        counts: [3, 3] as of one example, or the sum of those of several.
    """
    figures: dict[str, float] = {}
    for group, (right, wrong, missed) in zip(_GROUPS, counts.tolist(), strict=True):
        figures[f"gap_f1{group}"] = three_figures("gap", right, right + wrong, right, right + missed)["gap_f1"]
    if figures["gap_f1_masculine"] and figures["gap_f1_feminine"]:
        figures["gap_bias"] = figures["gap_f1_feminine"] / figures["gap_f1_masculine"]
    return figures
