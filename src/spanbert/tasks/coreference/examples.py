"""What coreference resolution reads and predicts: texts, and which of their spans are the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from spanbert.errors import InputError
from spanbert.spans import LabelledSpan, Span
from spanbert.tasks.coreference.resolving import resolve

Cluster = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class AmbiguousPronoun:
    """A question of GAP (Webster et al. 2018): does a pronoun mean A, B, or neither? Spans of the example's text.

    `is_a` and `is_b` are None where the answer is not known.
    """

    pronoun: Span
    a: Span
    b: Span
    is_a: bool | None = None
    is_b: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """The question as a JSON object."""
        spans = {"pronoun": list(self.pronoun), "a": list(self.a), "b": list(self.b)}
        return spans | ({} if self.is_a is None else {"is_a": self.is_a, "is_b": self.is_b})


@dataclass(frozen=True, slots=True)
class CoreferenceExample:
    """A document whose mentions are to be found and linked.

    Attributes:
        id: names it within its file.
        text: the document; of column files, its words joined.
        clusters: the mentions of each thing in code points of `text`, in order of the text; None where not known.
        words: the words of a file that has such, in code points of `text`; None for raw text, whose words the
            tokenizer finds.
        speakers: who says which stretch of the text, where that is known.
        genre: the kind of text, where that is known.
        mentions: given mentions in order of the text, where only these are to be linked; None: they are to be found.
        document: what it is a part of, where the file says so.
        pronoun: GAP's question about it; what is known of its clusters is then the answer and no more.
    """

    id: str
    text: str
    clusters: tuple[Cluster, ...] | None = None
    words: tuple[Span, ...] | None = None
    speakers: tuple[LabelledSpan, ...] = ()
    genre: str | None = None
    mentions: tuple[Span, ...] | None = None
    document: str | None = None
    pronoun: AmbiguousPronoun | None = None

    def to_json(self) -> dict[str, Any]:
        """The example as a JSON object, with the keys that say something."""
        record: dict[str, Any] = {"id": self.id, "text": self.text}
        if self.clusters is not None:
            record["clusters"] = [[list(mention) for mention in cluster] for cluster in self.clusters]
        for name, spans in (("words", self.words), ("mentions", self.mentions)):
            if spans is not None:
                record[name] = [list(span) for span in spans]
        if self.speakers:
            record["speakers"] = [
                {"start": start, "end": end, "speaker": speaker} for start, end, speaker in self.speakers
            ]
        for name, value in (("genre", self.genre), ("document", self.document)):
            if value is not None:
                record[name] = value
        if self.pronoun is not None:
            record["pronoun"] = self.pronoun.to_json()
        return record


@dataclass(frozen=True, slots=True)
class PredictedMention:
    """A mention that was found: `text == example.text[start:end]`.

    `antecedent` is the mention before it that it was linked to, None for the first of a cluster. `probability`, from 0
    to 1, is that of the link (in a cluster of one: of its being a mention at all); None where it is not known.
    """

    start: int
    end: int
    text: str
    antecedent: Span | None = None
    probability: float | None = None

    @property
    def span(self) -> Span:
        """Where it is."""
        return Span(self.start, self.end)

    def to_json(self) -> dict[str, Any]:
        """The mention as a JSON object."""
        record: dict[str, Any] = {"start": self.start, "end": self.end, "text": self.text}
        if self.antecedent is not None:
            record["antecedent"] = list(self.antecedent)
        if self.probability is not None:
            record["probability"] = self.probability
        return record


@dataclass(frozen=True, slots=True)
class CoreferencePrediction:
    """The clusters of a document by their first mentions; mentions in order of the text.

    `document_text` is what the prediction is about, None where it was read from a file.
    """

    id: str
    clusters: tuple[tuple[PredictedMention, ...], ...]
    document_text: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of_spans(cls, example: CoreferenceExample, clusters: Iterable[Iterable[Span]]) -> CoreferencePrediction:
        """A prediction for an example of which nothing but the spans is known, in the order given."""
        text = example.text
        mentions = (tuple(PredictedMention(*span, text[slice(*span)]) for span in cluster) for cluster in clusters)
        return cls(example.id, tuple(mentions))

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object, without the document's text."""
        return {"id": self.id, "clusters": [[mention.to_json() for mention in cluster] for cluster in self.clusters]}

    @property
    def spans(self) -> tuple[Cluster, ...]:
        """The clusters as spans."""
        return tuple(tuple(mention.span for mention in cluster) for cluster in self.clusters)

    def resolved_text(self) -> str:
        """The document with names in the place of pronouns; what is replaced, and by what, says `resolve`.

        Raises:
            InputError: the prediction was read from a file and has no text, or is about another one.
        """
        text = self.document_text
        if text is None:
            raise InputError(
                f"the prediction for {self.id!r} was read from a file and does not hold its document: give it back "
                "with dataclasses.replace(prediction, document_text=...)"
            )
        for span in (span for cluster in self.spans for span in cluster):
            if not 0 <= span.start < span.end <= len(text):
                raise InputError(
                    f"the prediction for {self.id!r} is about another text: there is no {span.start}..{span.end} in "
                    f"one of {len(text):,} characters"
                )
        return resolve(text, self.spans)


def sorted_clusters(clusters: Sequence[Sequence[Span]]) -> tuple[Cluster, ...]:
    """Clusters in order of their first mentions, each mention once and in order of the text (the wider first)."""
    in_order = [tuple(sorted(set(cluster), key=_place)) for cluster in clusters if cluster]
    return tuple(sorted(in_order, key=lambda cluster: [_place(mention) for mention in cluster]))


def _place(span: Span) -> tuple[int, int]:
    return span.start, -span.end
