"""GAP's tables (Webster et al. 2018): a pronoun of a text, two names, and which of them it means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from spanbert.errors import InputError
from spanbert.example_files import read_lines, source_name
from spanbert.json_values import BadRecordError
from spanbert.spans import Span
from spanbert.task import Located, Problem
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.examples import AmbiguousPronoun, Cluster, CoreferenceExample, sorted_clusters
from spanbert.tasks.coreference.genres import find_genre
from spanbert.tasks.coreference.json_records import shorten
from spanbert.tasks.coreference.layout import in_order

_NEEDED = ("ID", "Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "B", "B-offset")
_ANSWERED = ("A-coref", "B-coref")
"""Columns of which a table has both or, where its answers are not known, none."""
_ANSWERS: Mapping[str, bool | None] = {"true": True, "false": False, "": None}


def read_gap(path: str | Path, options: CoreferenceDataOptions) -> Iterator[Located[CoreferenceExample] | Problem]:
    """The rows of a table as examples with their question; the page they are from is their document.

    Offsets count characters. Cells are as they stand: quotes mean nothing, as in the files that GAP ships.

    Raises:
        InputError: the file cannot be read, or its first line does not name the columns.
    """
    header: list[str] | None = None
    for line, content in read_lines(path, encoding=options.encoding):
        if not content or content.isspace():
            continue
        cells = content.split("\t")
        if header is None:
            header = [cell.strip() for cell in cells]
            needed = _NEEDED + (_ANSWERED if any(name in header for name in _ANSWERED) else ())
            missing = [name for name in needed if name not in header]
            if missing:
                detail = f"the first line names no column {', '.join(missing)}: GAP's are {', '.join(needed)}, ..."
                raise InputError(detail, source=source_name(path), line=line)
            continue
        if len(cells) != len(header):
            detail = f"{len(cells)} columns, and the first line names {len(header)}"
            yield Problem(line, "wrong number of columns", detail)
            continue
        row = dict(zip(header, cells, strict=True))
        try:
            yield Located(_example(row, line, options), line)
        except BadRecordError as error:
            yield Problem(line, error.kind, f"{error.detail} (id {row['ID']!r:.80})")


def _example(row: Mapping[str, str], line: int, options: CoreferenceDataOptions) -> CoreferenceExample:
    text = row["Text"]
    spans = _span(row, "Pronoun"), _span(row, "A"), _span(row, "B")
    is_a, is_b = (parse_answer(row.get(f"{name}-coref", ""), f"{name}-coref") for name in ("A", "B"))
    if (is_a is None) != (is_b is None):
        raise BadRecordError("half an answer", "A-coref and B-coref must both be TRUE or FALSE, or be empty")
    pronoun = AmbiguousPronoun(*spans, is_a, is_b)
    document = row.get("URL", "").strip() or None
    return CoreferenceExample(
        id=row["ID"].strip() or str(line),
        text=text,
        clusters=None if is_a is None or is_b is None else answer_clusters(pronoun, is_a=is_a, is_b=is_b),
        genre=None if options.genre == "auto" else find_genre(document or row["ID"], options.genre),
        mentions=in_order(spans),
        document=document,
        pronoun=pronoun,
    )


def _span(row: Mapping[str, str], name: str) -> Span:
    text, wanted, offset = row["Text"], row[name], row[f"{name}-offset"].strip()
    if not (offset.isascii() and offset.isdigit() and len(offset) < 10):
        raise BadRecordError("offset is no number", f"{name}-offset is {offset[:40]!r}")
    start = int(offset)
    span = Span(start, start + len(wanted))
    if not wanted or text[start : span.end] != wanted:
        found = [match.start() for match in re.finditer(re.escape(wanted), text)] if wanted else []
        where = f"it stands at {', '.join(map(str, found))}" if found else "it stands nowhere in the text"
        detail = f"{name} is {shorten(wanted)}, and at {start} the text has {shorten(text[start : span.end])}; {where}"
        raise BadRecordError("offset does not match", detail)
    return span


def parse_answer(cell: str, name: str) -> bool | None:
    """Whether a cell says TRUE, in capitals or not; None for an empty one.

    Raises:
        BadRecordError: it says something else.
    """
    try:
        return _ANSWERS[cell.strip().lower()]
    except KeyError:
        raise BadRecordError("unknown answer", f"{name} is {cell[:40]!r}, neither TRUE nor FALSE") from None


def answer_clusters(question: AmbiguousPronoun, *, is_a: bool, is_b: bool) -> tuple[Cluster, ...]:
    """An answer as clusters: the pronoun with what it means, and each other name alone."""
    means = [name for name, is_meant in ((question.a, is_a), (question.b, is_b)) if is_meant]
    others = [[name] for name in (question.a, question.b) if name not in means]
    return sorted_clusters([[question.pronoun, *means], *others])
