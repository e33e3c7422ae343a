"""A text with entities and pairs of them to judge, what is predicted for it, and their JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entity:
    """A span of a text: half-open, in code points."""

    start: int
    end: int
    type: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"start": self.start, "end": self.end} | ({} if self.type is None else {"type": self.type})


@dataclass(frozen=True, slots=True)
class Relation:
    """What holds between two entities, given by their places in the example's `entities`."""

    head: int
    tail: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationExample:
    """A text with its entities and the pairs of them to judge.

    TACRED and SemEval ask about one pair of a sentence. A document asks about all ordered pairs of its entities.
    """

    id: str
    text: str
    entities: tuple[Entity, ...]
    asked: tuple[tuple[int, int], ...] | None = None
    """Pairs (head, tail) to judge; None means all ordered pairs that are near enough (`max_pair_distance`)."""
    relations: tuple[Relation, ...] | None = None
    """The right answer: asked pairs that are not among them have no relation. None means that it is not known."""
    document: str | None = None
    """The document that the text comes from, where the file says so."""

    @property
    def is_sentence(self) -> bool:
        """Whether it is about one pair, its only entities."""
        return self.asked == ((0, 1),) and len(self.entities) == 2

    def to_json(self) -> dict[str, Any]:
        """As a JSON object: `head`, `tail` and `relation`, or `entities` and `relations`."""
        record: dict[str, Any] = {"id": self.id, "text": self.text}
        if self.document is not None:
            record["document"] = self.document
        entities = [entity.to_json() for entity in self.entities]
        if self.is_sentence and (self.relations is None or len(self.relations) == 1):
            record |= {"head": entities[0], "tail": entities[1]}
            return record | ({} if self.relations is None else {"relation": self.relations[0].label})
        record["entities"] = entities
        if self.relations is not None:
            record["relations"] = [{"head": r.head, "tail": r.tail, "relation": r.label} for r in self.relations]
        return record | ({} if self.asked is None else {"pairs": [list(pair) for pair in self.asked]})


@dataclass(frozen=True, slots=True)
class Argument:
    """One of the two entities of a judged pair."""

    index: int
    """Its place in the example's `entities`."""
    start: int
    end: int
    type: str | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        record: dict[str, Any] = {"index": self.index, "start": self.start, "end": self.end}
        return record | ({} if self.type is None else {"type": self.type}) | {"text": self.text}


@dataclass(frozen=True, slots=True)
class PredictedRelation:
    """A judged pair."""

    head: Argument
    tail: Argument
    label: str
    probability: float
    negative: bool = False
    """Whether the label says that there is no relation."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        arguments = {"head": self.head.to_json(), "tail": self.tail.to_json()}
        judged = {"relation": self.label, "probability": self.probability}
        return arguments | judged | ({"negative": True} if self.negative else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationPrediction:
    """What the model says of an example's pairs; offsets are code points of the example's text."""

    id: str
    relations: tuple[PredictedRelation, ...]
    """In order of head and tail; in documents without the negative ones, unless `show_all_pairs`."""
    num_judged: int
    """Pairs that were judged, listed or not."""
    num_left_out: int = 0
    """Pairs of a document that were not judged because they are farther apart than `max_pair_distance`."""
    num_split: int = 0
    """Judged pairs that are farther apart than a window, of which the parts around each span were read."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        counts = {"judged": self.num_judged, "left_out": self.num_left_out, "split": self.num_split}
        return {"id": self.id, "relations": [one.to_json() for one in self.relations], "pairs": counts}
