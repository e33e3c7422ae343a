"""Which pairs of an example's entities are judged, and what is right for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanbert.tasks.relations.config import RelationOptions
from spanbert.tasks.relations.examples import RelationExample

# A word is a run of letters and digits; every CJK ideograph and kana is one of its own, as for the tokenizer.
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])\w)+")


@dataclass(frozen=True, slots=True, eq=False)
class JudgedPairs:
    """The pairs of an example that are judged.

    pairs: int64 [P, 2], head and tail, in order.
    num_left_out: pairs of a document that are too far apart.
    """

    pairs: npt.NDArray[np.int64]
    num_left_out: int = 0


def judged_pairs(example: RelationExample, options: RelationOptions) -> JudgedPairs:
    """The pairs that the example asks about, or all near ones of a document.

    The distance of a pair is the number of words that begin between its spans.
    """
    if example.asked is not None:
        return JudgedPairs(np.array(example.asked, np.int64).reshape(-1, 2))
    num_entities = len(example.entities)
    if num_entities < 2:
        return JudgedPairs(np.zeros((0, 2), np.int64))
    words = np.array([match.start() for match in _WORD.finditer(example.text)])
    order = np.argsort([entity.start for entity in example.entities], kind="stable")
    before_start = np.searchsorted(words, [example.entities[number].start for number in order])
    before_end = np.searchsorted(words, [example.entities[number].end for number in order])
    # For each entity, in order of starts, those behind it up to `last` are near: their starts never fall.
    last = np.searchsorted(before_start, before_end + options.max_pair_distance, side="right")
    place = np.arange(num_entities)
    numbers = np.maximum(last - place - 1, 0)
    first = np.repeat(place, numbers)
    second = first + 1 + np.arange(numbers.sum()) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    one_way = np.stack((order[first], order[second]), axis=1)
    pairs = np.concatenate((one_way, one_way[:, ::-1]))
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return JudgedPairs(pairs, num_entities * (num_entities - 1) - len(pairs))


def negative_label(labels: Iterable[str], options: RelationOptions) -> str:
    """The label of a pair without a relation, as `RelationOptions.no_relation` says."""
    if options.no_relation is not None:
        return options.no_relation
    known = set(labels)
    return "Other" if "Other" in known and "no_relation" not in known else "no_relation"


def gold_labels(example: RelationExample, negative: str) -> dict[tuple[int, int], str]:
    """The right label of every pair that has one of its own; all others are `negative`."""
    asked = dict.fromkeys(example.asked or (), negative)
    return asked | {(relation.head, relation.tail): relation.label for relation in example.relations or ()}
