"""What is wrong with documents that could be read one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spanbert.spans import Span
from spanbert.task import Located, Problem
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.conll_writer import words_of
from spanbert.tasks.coreference.examples import AmbiguousPronoun, Cluster, CoreferenceExample
from spanbert.tasks.coreference.gap_scores import decisions
from spanbert.tasks.coreference.json_records import shorten
from spanbert.tasks.coreference.layout import WordFinder, in_order

Finding = tuple[str, str]
"""Kind and detail of a problem."""

_UNKNOWN = "no clusters given"


def check_coreference(
    examples: Sequence[Located[CoreferenceExample]], options: CoreferenceDataOptions
) -> Iterator[Problem]:
    """Problems in order of the examples; only those whose clusters are not known are left out."""
    first_lines: dict[str, int] = {}
    for located in examples:
        example, line = located.example, located.line
        first = first_lines.setdefault(example.id, line)
        if first != line:
            detail = f"the id {example.id!r} is that of line {first:,} too; predictions by id cannot tell them apart"
            yield Problem(line, "duplicate id", detail, skipped=False)
        for kind, detail in _findings(example, options):
            yield Problem(line, kind, f"{detail} (id {example.id!r:.80})", skipped=kind == _UNKNOWN)


def _findings(example: CoreferenceExample, options: CoreferenceDataOptions) -> Iterator[Finding]:
    if not example.text or example.text.isspace():
        yield "empty text", "there is no text; no mention is found there"
    finder = WordFinder(words_of(example))
    mentions = in_order(mention for cluster in example.clusters or () for mention in cluster)
    yield from _odd_edges(example, mentions, finder)
    if example.clusters is None:
        yield _UNKNOWN, "its clusters are not known: nothing is learned from it, and it is not scored"
        return
    if not example.clusters:
        yield "no cluster", "it has no mention; it teaches only where none is"
    yield from _crossing_clusters(example, example.clusters)
    yield from _crossing_mentions(example, mentions)
    yield from _out_of_reach(example, mentions, finder, options)
    if example.pronoun is not None:
        yield from _other_answers(example.text, example.pronoun, example.clusters)


def _crossing_clusters(example: CoreferenceExample, clusters: Sequence[Cluster]) -> Iterator[Finding]:
    cluster_of: dict[Span, int] = {}
    for number, cluster in enumerate(clusters):
        for mention in cluster:
            if cluster_of.setdefault(mention, number) != number:
                others = [
                    _show(example, next((other for other in one if other != mention), mention))
                    for one in (clusters[cluster_of[mention]], cluster)
                ]
                detail = f"{_show(example, mention)} is in one cluster with {others[0]} and in one with {others[1]}"
                yield "mention in two clusters", detail


def _crossing_mentions(example: CoreferenceExample, mentions: Sequence[Span]) -> Iterator[Finding]:
    """Each mention that ends after the end of one that it begins in."""
    around: list[Span] = []  # those that the next mention may begin in; each lies in the one before it or crosses it
    for mention in mentions:
        around = [other for other in around if other.end > mention.start]
        crossed = next((other for other in around if other.end < mention.end and other.start < mention.start), None)
        if crossed is not None:
            detail = f"{_show(example, mention)} and {_show(example, crossed)} share characters, and neither holds"
            yield "mentions that cross", f"{detail} the other; right as it may be, this is often an oversight"
        around.append(mention)


def _odd_edges(example: CoreferenceExample, mentions: Sequence[Span], finder: WordFinder) -> Iterator[Finding]:
    """Mentions of clusters, and given ones, that are not whole words."""
    starts, ends = set(finder.starts), set(finder.ends)
    given = set(example.mentions or ())
    for mention in in_order((*mentions, *given)):
        start, end = mention
        first, after = finder.widen(mention)
        if first == after:
            yield "mention without a word", f"{_show(example, mention)} holds no word: it is not learned, nor found"
        elif example.text[start].isspace() or example.text[end - 1].isspace():
            detail = f"{_show(example, mention)}: no prediction will have exactly these edges"
            yield "white space at a mention's edge", detail
        elif start not in starts or end not in ends:
            when = "training and prediction" if mention in given else "training"
            yield "mention cuts a word", f"{_show(example, mention)} is widened to whole words in {when}"


def _out_of_reach(
    example: CoreferenceExample, mentions: Sequence[Span], finder: WordFinder, options: CoreferenceDataOptions
) -> Iterator[Finding]:
    """Mentions of clusters that no prediction can have."""
    given = None if example.mentions is None else set(example.mentions)
    for mention in mentions:
        if given is not None and mention not in given:
            detail = f"{_show(example, mention)} is in a cluster and not among `mentions`: it cannot be linked"
            yield "mention not given", detail
        first, after = finder.widen(mention)
        if given is None and after - first > options.max_span_width:
            about = "" if example.words is not None else "about "
            detail = f"{_show(example, mention)} has {about}{after - first} words: it cannot be found"
            yield "mention too wide", f"{detail}, see --max-span-width"


def _other_answers(text: str, question: AmbiguousPronoun, clusters: Sequence[Cluster]) -> Iterator[Finding]:
    """Where a question has another answer than the clusters give: training learns from these, GAP's figures use it."""
    answers = zip("ab", (question.is_a, question.is_b), decisions(text, question, clusters), strict=True)
    for name, answer, linked in answers:
        if answer is not None and answer != linked:
            said = f"the clusters {'link' if linked else 'do not link'} pronoun and {name}: mend one or the other"
            yield "answer other than clusters", f"`pronoun.is_{name}` is {str(answer).lower()}, and {said}"


def _show(example: CoreferenceExample, mention: Span) -> str:
    return f"{mention.start}..{mention.end} {shorten(example.text[mention.start : mention.end])}"
