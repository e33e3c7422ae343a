"""JSON objects as examples and predictions: our own form, and the field's, whose clusters are over words."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from spanbert.json_values import BadRecordError, take, take_name, typed
from spanbert.plain_words import plain_words
from spanbert.spans import LabelledSpan, Span
from spanbert.tasks.coreference.examples import (
    AmbiguousPronoun,
    CoreferenceExample,
    CoreferencePrediction,
    PredictedMention,
    sorted_clusters,
)
from spanbert.tasks.coreference.genres import find_genre
from spanbert.tasks.coreference.layout import WordFinder, clusters_of_text, in_order, lay_out, of_text, speakers_of_text
from spanbert.text_columns import is_by_character

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_PART_NAME = re.compile(r"(.+/.+)_[0-9]+")
_KEYS = ("id", "doc_key", "clusters", "document", "genre", "mentions", "pronoun", "speakers", "words")
_NEARLY = 0.85  # "uid" and "id" are 0.8 alike


class Note(NamedTuple):
    """Something wrong with a record that is used all the same."""

    kind: str
    detail: str


def example_from_json(record: Mapping[str, Any]) -> CoreferenceExample:
    """The example of `parse_example`, raises as that does."""
    return parse_example(record)[0]


def parse_example(record: Mapping[str, Any], default_id: str = "") -> tuple[CoreferenceExample, list[Note]]:
    """An example from a JSON object with `text`, whose spans are half-open and count its characters; or with `tokens`
    (words) or `sentences` (lists of words), whose spans count words, and their ends are inclusive.

    Args:
        record: the object; without `clusters` its clusters are not known.
        default_id: for a record without `id` and `doc_key`.

    Returns:
        The example, and what had to be put right.

    Raises:
        BadRecordError: a key is missing or a value is not what it should be; names the key.
    """
    given = [key for key in ("text", "tokens", "sentences") if record.get(key) is not None]
    if not given:
        raise BadRecordError("missing key", "the record has no `text` (nor `tokens`, nor `sentences`)")
    if len(given) > 1:
        shown = " and ".join(f"`{key}`" for key in given)
        detail = f"the record has {shown}, so that spans may count characters or words; leave one of them out"
        raise BadRecordError("two texts", detail)
    notes = list(_misspelt(record))
    id = _id(record, default_id)
    example = _from_text(record, id, notes) if given == ["text"] else _from_words(record, given[0], id, notes)
    if example.genre is None and _has(record, "doc_key"):
        example = replace(example, genre=find_genre(str(record["doc_key"]), "auto"))
    return example, notes


def _misspelt(record: Mapping[str, Any]) -> Iterator[Note]:
    """Keys that nobody reads and that are nearly one that is not there; all others may hold what they like."""
    missing = [key for key in _KEYS if key not in record]
    for key in (key for key in record if key not in _KEYS):
        for meant in difflib.get_close_matches(key.lower(), missing, n=1, cutoff=_NEARLY):
            yield Note("unknown key", f"nothing reads `{key}`: if it is to be `{meant}`, rename it")


def _from_text(record: Mapping[str, Any], id: str, notes: list[Note]) -> CoreferenceExample:
    text = _whole(take(record, "text", str), "text")
    words = None
    if record.get("words") is not None:
        words = tuple(_spans(record["words"], text, "words"))
        for number, (before, word) in enumerate(itertools.pairwise(words), 1):
            if word.start < before.end:
                detail = f"words[{number}] begins at {word.start}, before the end of the word before it ({before.end})"
                raise BadRecordError("words out of order", detail)
    clusters = None
    if record.get("clusters") is not None:
        found = [_spans(value, text, name) for name, value in _items(record, "clusters")]
        clusters = sorted_clusters(_each_once(found, text, notes))
    return CoreferenceExample(
        id=id,
        text=text,
        clusters=clusters,
        words=words,
        speakers=_speakers(record, text, notes),
        genre=_text_or_none(record, "genre"),
        mentions=_given_mentions(record["mentions"], text, words) if _has(record, "mentions") else None,
        document=_text_or_none(record, "document"),
        pronoun=_pronoun(take(record, "pronoun", dict), text) if _has(record, "pronoun") else None,
    )


def _given_mentions(values: Any, text: str, words: Sequence[Span] | None) -> tuple[Span, ...]:
    mentions = _spans(values, text, "mentions")
    finder = WordFinder(plain_words(text) if words is None else words)
    for number, mention in enumerate(mentions):
        first, after = finder.widen(mention)
        if first == after:
            detail = f"mentions[{number}]: {_show(mention, text)} holds no word to link; mend it or leave it out"
            raise BadRecordError("mention without a word", detail)
    return in_order(mentions)


def _from_words(record: Mapping[str, Any], key: str, id: str, notes: list[Note]) -> CoreferenceExample:
    if _has(record, "pronoun"):
        raise BadRecordError("pronoun without text", "`pronoun` holds spans of `text`, and there is none")
    sentences = [(key, take(record, key, list))] if key == "tokens" else _items(record, key)
    for name, sentence in sentences:
        for number, word in enumerate(typed(sentence, list, name)):
            if not _whole(typed(word, str, f"{name}[{number}]"), name).strip() or "\n" in word:
                raise BadRecordError("empty word", f"{name}[{number}] is empty, blank or has a line break")
    chinese = is_by_character(word for _, sentence in sentences for word in sentence)
    text, words = lay_out((sentence for _, sentence in sentences), chinese=chinese)
    clusters = None
    if _has(record, "clusters"):
        found = [_word_spans(value, len(words), name) for name, value in _items(record, "clusters")]
        clusters = clusters_of_text(_each_once(found, None, notes), words)
    mentions = None
    if _has(record, "mentions"):
        given = _word_spans(record["mentions"], len(words), "mentions")
        mentions = in_order(of_text(span, words) for span in given)
    part = _PART_NAME.fullmatch(id)
    return CoreferenceExample(
        id=id,
        text=text,
        clusters=clusters,
        words=words,
        speakers=_word_speakers(record, key, sentences, words),
        genre=_text_or_none(record, "genre"),
        mentions=mentions,
        document=_text_or_none(record, "document") or (part[1] if part and _has(record, "doc_key") else None),
    )


def _word_speakers(
    record: Mapping[str, Any], key: str, sentences: Sequence[tuple[str, Any]], words: Sequence[Span]
) -> tuple[LabelledSpan, ...]:
    """From `speakers`: as `sentences`, a list of names for each; with `tokens`, a name each."""
    if not _has(record, "speakers"):
        return ()
    of_sentences = [("speakers", record["speakers"])] if key == "tokens" else _items(record, "speakers")
    lengths = [len(typed(names, list, name)) for name, names in of_sentences]
    if lengths != [len(sentence) for _, sentence in sentences]:
        raise BadRecordError("speakers do not fit", "`speakers` must hold one name for every word")
    names = [
        None if value is None else typed(value, str, f"{name}[{number}]")
        for name, values in of_sentences
        for number, value in enumerate(values)
    ]
    return speakers_of_text(names, words)


def prediction_from_json(record: Mapping[str, Any]) -> CoreferencePrediction:
    """The prediction of `parse_prediction`, whose text is not known; raises as that does."""
    return parse_prediction(record)[0]


def parse_prediction(record: Mapping[str, Any], text: str | None = None) -> tuple[CoreferencePrediction, list[Note]]:
    """A prediction from an object with `id` and `clusters`: lists of [start, end] or of objects with `start`, `end`
    and, each only where it is known, `text`, `antecedent` ([start, end]) and `probability`. Or from the form of
    `parse_example` that has words, whose spans count these.

    Args:
        record: the object.
        text: what it is about; spans outside are refused then, and a mention's `text` is not looked at.

    Returns:
        The prediction, and what had to be put right.

    Raises:
        BadRecordError: a key is missing or a value is not what it should be; names the key.
    """
    take(record, "clusters", list)
    if record.get("tokens") is not None or record.get("sentences") is not None:
        example, notes = parse_example(record)
        if text is not None and example.text != text:
            raise BadRecordError("other words than gold", "its words are not those of the gold document")
        return CoreferencePrediction.of_spans(example, example.clusters or ()), notes
    notes = []
    clusters = []
    cluster_of: dict[Span, str] = {}
    for name, values in _items(record, "clusters"):
        mentions: dict[Span, PredictedMention] = {}
        for number, value in enumerate(typed(values, list, name)):
            mention = _predicted(value, text, f"{name}[{number}]")
            if mention.span in mentions:
                notes.append(_twice(mention.span, text))
            elif mention.span in cluster_of:
                detail = f"{_show(mention.span, text)} is in {cluster_of[mention.span]} and in {name}"
                notes.append(Note("mention in two clusters", f"{detail}; it counts in the one that begins first"))
            mentions.setdefault(mention.span, mention)
            cluster_of.setdefault(mention.span, name)
        if mentions:
            clusters.append(tuple(mentions[span] for span in in_order(mentions)))
    clusters.sort(key=lambda cluster: [(mention.start, -mention.end) for mention in cluster])
    return CoreferencePrediction(_id(record, ""), tuple(clusters)), notes


def _predicted(value: Any, text: str | None, name: str) -> PredictedMention:
    span = _span(value, text, name)
    record = value if isinstance(value, dict) else {}
    probability = None
    if _has(record, "probability"):
        probability = take(record, "probability", float, name)
        if not 0 <= probability <= 1:
            raise BadRecordError("wrong value", f"`{name}.probability` is from 0 to 1, not {probability}")
    antecedent = None
    if _has(record, "antecedent"):
        antecedent = _span(record["antecedent"], text, f"{name}.antecedent")
    shown = _text_or_none(record, "text") or "" if text is None else text[span.start : span.end]
    return PredictedMention(*span, shown, antecedent, probability)


# Values


def _each_once(clusters: Sequence[Sequence[Span]], text: str | None, notes: list[Note]) -> list[list[Span]]:
    """Clusters without empty ones and without mentions that come twice in one; `notes` tells of them."""
    kept = []
    for number, cluster in enumerate(clusters):
        if not cluster:
            notes.append(Note("empty cluster", f"clusters[{number}] holds no mention; it is passed over"))
            continue
        seen: dict[Span, None] = {}
        for mention in cluster:
            if mention in seen:
                notes.append(_twice(mention, text))
            seen[mention] = None
        kept.append(list(seen))
    return kept


def _twice(mention: Span, text: str | None) -> Note:
    return Note("duplicate mention", f"{_show(mention, text)} comes twice in one cluster; it counts once")


def _show(mention: Span, text: str | None) -> str:
    shown = "" if text is None else f" {shorten(text[mention.start : mention.end])}"
    return f"{mention.start}..{mention.end}{shown}"


def shorten(text: str) -> str:
    """A text for a message: quoted, on one line, not long."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def _speakers(record: Mapping[str, Any], text: str, notes: list[Note]) -> tuple[LabelledSpan, ...]:
    """From `speakers`: objects with `start`, `end` and `speaker`, which is null where it is not known."""
    stretches: list[LabelledSpan] = []
    for name, value in _items(record, "speakers"):
        span = _span(typed(value, dict, name), text, name)
        if "speaker" in value and value["speaker"] is None:
            continue
        speaker = take(value, "speaker", str, name)
        if speaker.strip():
            stretches.append(LabelledSpan(*span, speaker))
        else:
            detail = f"`{name}.speaker` is empty and counts as not known; name one or leave the stretch out"
            notes.append(Note("speaker without a name", detail))
    stretches.sort()
    before: LabelledSpan | None = None  # the one that ends last of those that have begun
    for one in stretches:
        if before is not None and one.start < before.end:
            shown = " and ".join(f"{start}..{end} by {shorten(name)}" for start, end, name in (before, one))
            detail = f"{shown} share characters; words of both count as said by {shorten(one.label)}"
            notes.append(Note("speakers overlap", detail))
        if before is None or one.end > before.end:
            before = one
    return tuple(stretches)


def _pronoun(record: Mapping[str, Any], text: str) -> AmbiguousPronoun:
    spans = {}
    for key in ("pronoun", "a", "b"):
        if key not in record:
            raise BadRecordError("missing key", f"pronoun has no `{key}`")
        spans[key] = _span(record[key], text, f"pronoun.{key}")
    answers = [record.get("is_a"), record.get("is_b")]
    if not all(isinstance(one, bool) for one in answers) and answers != [None, None]:
        detail = "`pronoun.is_a` and `pronoun.is_b` must both be true or false, or be left out"
        raise BadRecordError("wrong value", detail)
    return AmbiguousPronoun(spans["pronoun"], spans["a"], spans["b"], *answers)


def _spans(values: Any, text: str, name: str) -> list[Span]:
    return [_span(value, text, f"{name}[{number}]") for number, value in enumerate(typed(values, list, name))]


def _span(value: Any, text: str | None, name: str) -> Span:
    """A half-open span of characters, from [start, end] or an object with these keys."""
    span = _two_numbers(value, name)
    if span.end <= span.start:
        raise BadRecordError("end before start", f"{name}: {span.start}..{span.end} is empty; ends are exclusive")
    if span.start < 0 or (text is not None and span.end > len(text)):
        end = "" if text is None else f": the text has {len(text)} characters"
        raise BadRecordError("span outside text", f"{name}: {span.start}..{span.end}{end}")
    return span


def _word_spans(values: Any, num_words: int, name: str) -> list[Span]:
    """Spans of words; ends are inclusive in files and exclusive from here on."""
    spans = []
    for number, value in enumerate(typed(values, list, name)):
        first, last = _two_numbers(value, f"{name}[{number}]")
        if last < first:
            detail = f"{name}[{number}]: {first}..{last}; they count words, the last one included"
            raise BadRecordError("end before start", detail)
        if not 0 <= first <= last < num_words:
            detail = f"{name}[{number}]: {first}..{last}, and the last of {num_words} words is {num_words - 1}"
            raise BadRecordError("span outside text", detail)
        spans.append(Span(first, last + 1))
    return spans


def _two_numbers(value: Any, name: str) -> Span:
    if isinstance(value, dict):
        return Span(take(value, "start", int, name), take(value, "end", int, name))
    if not isinstance(value, list) or len(value) != 2:
        raise BadRecordError("wrong value", f"{name} must be [start, end]")
    return Span(typed(value[0], int, f"{name}[0]"), typed(value[1], int, f"{name}[1]"))


def _id(record: Mapping[str, Any], default: str) -> str:
    names = (take_name(record, key) for key in ("id", "doc_key"))
    return next((name for name in names if name is not None), default)


def _has(record: Mapping[str, Any], key: str) -> bool:
    return record.get(key) is not None


def _items(record: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """(name for messages, value) of each item of a list; none where the key is not there."""
    values = take(record, key, list) if _has(record, key) else []
    return [(f"{key}[{number}]", value) for number, value in enumerate(values)]


def _text_or_none(record: Mapping[str, Any], key: str) -> str | None:
    return take(record, key, str) if _has(record, key) else None


def _whole(text: str, name: str) -> str:
    if match := _HALF_CHARACTER.search(text):
        detail = f"character {match.start()} of {name} is a lone surrogate: replace it, as with U+FFFD"
        raise BadRecordError("half a character", detail)
    return text
