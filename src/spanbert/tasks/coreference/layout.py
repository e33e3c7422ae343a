"""Documents that are given as words: their text, and what is said of words as spans of the text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from spanbert.spans import LabelledSpan, Span
from spanbert.tasks.coreference.examples import Cluster, sorted_clusters
from spanbert.text_columns import join_words

_UNKNOWN_SPEAKERS = ("", "-", "_")


class WordFinder:
    """Finds the words of spans of a text. Words are in order and do not overlap."""

    def __init__(self, words: Sequence[Span]) -> None:
        self.starts = [word.start for word in words]
        self.ends = [word.end for word in words]

    def widen(self, span: Span) -> Span:
        """The words that share a character with a span; empty where none does."""
        first = bisect_right(self.ends, span.start)
        return Span(first, max(first, bisect_left(self.starts, span.end)))


def in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order of the text, the wider first, each once."""
    return tuple(sorted(set(spans), key=lambda span: (span.start, -span.end)))


def lay_out(sentences: Iterable[Sequence[str]], *, chinese: bool) -> tuple[str, tuple[Span, ...]]:
    """The text of sentences, a line each, and where every word stands in it; words are joined by `join_words`."""
    lines: list[str] = []
    spans: list[Span] = []
    offset = 0
    for sentence in sentences:
        line, words = join_words(sentence, chinese=chinese)
        lines.append(line)
        spans += [Span(start + offset, end + offset) for start, end in words]
        offset += len(line) + 1
    return "\n".join(lines), tuple(spans)


def of_text(span: Span, words: Sequence[Span]) -> Span:
    """A span of words, not empty, as a span of the text."""
    return Span(words[span.start].start, words[span.end - 1].end)


def clusters_of_text(clusters: Iterable[Iterable[Span]], words: Sequence[Span]) -> tuple[Cluster, ...]:
    """Clusters of spans of words as sorted clusters of the text."""
    return sorted_clusters([[of_text(mention, words) for mention in cluster] for cluster in clusters])


def speakers_of_text(names: Sequence[str | None], words: Sequence[Span]) -> tuple[LabelledSpan, ...]:
    """The stretches of the text that one speaker says, from the speaker of each word; None, "-" and "_": not known."""
    stretches: list[LabelledSpan] = []
    before: str | None = None
    for name, (start, end) in zip(names, words, strict=True):
        speaker = None if name is None or name.strip() in _UNKNOWN_SPEAKERS else name.strip()
        if speaker is not None and speaker == before:
            stretches[-1] = LabelledSpan(stretches[-1].start, end, speaker)
        elif speaker is not None:
            stretches.append(LabelledSpan(start, end, speaker))
        before = speaker
    return tuple(stretches)
