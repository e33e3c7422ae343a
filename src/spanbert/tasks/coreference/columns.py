"""CoNLL columns of coreference: a word a line, brackets in the last column, documents between two marked lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spanbert.errors import InputError
from spanbert.example_files import read_lines, source_name
from spanbert.spans import Span
from spanbert.task import Located, Problem
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.examples import CoreferenceExample
from spanbert.tasks.coreference.genres import find_genre
from spanbert.tasks.coreference.layout import clusters_of_text, lay_out, speakers_of_text
from spanbert.text_columns import is_by_character

_BEGIN = re.compile(r"#\s*begin document\b\s*(.*)")
_END = re.compile(r"#\s*end document\b")
_PART = re.compile(r"\(?(.*?)\)?\s*;\s*part\s+([0-9]{1,9})")
_WHITE_SPACE = re.compile(r"[ \t]+")
_SINGLE, _OPENING, _CLOSING = (re.compile(p) for p in (r"\(([^()|]+)\)", r"\(([^()|]+)", r"([^()|]+)\)"))
_NOTHING = ("-", "_")
_EMPTY = "_"  # as the writer has white space inside a word
# CoNLL-2012: document, part, index, word, tag, tree, lemma, roleset, sense, speaker, entity, ..., coreference.
_FULL = 11
_FULL_WORD, _FULL_SPEAKER = 3, 9
_MOST_SHOWN = 10  # rows that cannot be read, of one document

Row = tuple[int, list[str]]
"""Line and cells."""


@dataclass(frozen=True, slots=True)
class DocumentName:
    """What a line "#begin document ..." says: `whole` is a document's id, `of` what it is a part of."""

    whole: str
    of: str | None = None


@dataclass(slots=True)
class _Block:
    """The lines of a document; `ends` holds the number of rows at the end of each sentence."""

    line: int
    name: DocumentName
    rows: list[Row] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ColumnDocument:
    """A document as its words: sentences, the speaker of each word where the file says so, clusters of words."""

    line: int
    name: DocumentName
    sentences: tuple[tuple[str, ...], ...]
    speakers: tuple[str, ...] | None
    clusters: tuple[tuple[Span, ...], ...]


def read_columns(path: str | Path, options: CoreferenceDataOptions) -> Iterator[Located[CoreferenceExample] | Problem]:
    """The documents of a column file as examples; the words of all its documents are held in memory.

    CoNLL-2012 (Pradhan et al. 2012) and its short forms: the last column holds the brackets, the word is in column 3
    of eleven or more (and of rows "document part index word ..."), after a running index, or else first.

    Raises:
        InputError: the file cannot be read, or no line begins a document.
    """
    items = list(read_documents(read_lines(path, encoding=options.encoding), source_name(path)))
    documents = (item for item in items if isinstance(item, ColumnDocument))
    chinese = is_by_character(word for document in documents for sentence in document.sentences for word in sentence)
    for item in items:
        yield item if isinstance(item, Problem) else Located(_example(item, options, chinese=chinese), item.line)


def _example(document: ColumnDocument, options: CoreferenceDataOptions, *, chinese: bool) -> CoreferenceExample:
    text, words = lay_out(document.sentences, chinese=chinese)
    name = document.name
    return CoreferenceExample(
        id=name.whole,
        text=text,
        clusters=clusters_of_text(document.clusters, words),
        words=words,
        speakers=() if document.speakers is None else speakers_of_text(document.speakers, words),
        genre=find_genre(name.of or name.whole, options.genre),
        document=name.of,
    )


def read_documents(lines: Iterable[tuple[int, str]], source: str) -> Iterator[ColumnDocument | Problem]:
    """The documents of numbered lines, each followed by what is wrong with it; raises as `read_columns`."""
    for item in _blocks(lines, source):
        if isinstance(item, Problem):
            yield item
        else:
            yield from _read_block(item)


def parse_name(begin: str, *, number: int = 1) -> DocumentName | None:
    """What a line that begins a document says; None for other lines. `number` names a document without a name.

    "#begin document (bc/cctv/00/cctv_0000); part 003" is part 3 of bc/cctv/00/cctv_0000, its id bc/cctv/00/cctv_0000_3.
    """
    match = _BEGIN.match(begin)
    if match is None:
        return None
    name = match[1].strip()
    part = _PART.fullmatch(name)
    if part is not None and part[1]:
        return DocumentName(f"{part[1]}_{int(part[2])}", part[1])
    return DocumentName(name or str(number))


def _blocks(lines: Iterable[tuple[int, str]], source: str) -> Iterator[_Block | Problem]:
    block: _Block | None = None
    num_documents = 0
    outside: Row | None = None  # the first line since the last document that is in none
    for line, content in lines:
        name = parse_name(content, number=num_documents + 1)
        if name is not None or _END.match(content):
            if block is not None:
                yield block
                if name is not None:
                    yield _never_ended(block)
            elif name is None:
                yield Problem(line, "end without beginning", "no document is open here; the line is passed over")
            if outside is not None:
                yield _outside(outside)
            outside = None
            block = None if name is None else _Block(line, name)
            num_documents += name is not None
        elif not content or content.isspace():
            if block is not None:
                block.ends.append(len(block.rows))
        elif block is not None:
            block.rows.append((line, _split(content)))
        elif outside is None and not content.startswith("#"):
            outside = line, [content]
    if block is not None:
        yield block
        yield _never_ended(block)
    if outside is not None and num_documents:
        yield _outside(outside)
    elif outside is not None:
        raise InputError(
            "no line begins a document: before each there must be one such as '#begin document (name); part 000' or "
            "'# begin document name', and after it '#end document' (JSON lines are told by a name that ends in .jsonl, "
            "GAP's tables by .tsv)",
            source=source,
            line=outside[0],
        )


def _outside(row: Row) -> Problem:
    detail = f"{row[1][0][:40]!r} stands before any line that begins a document; all lines up to one are passed over"
    return Problem(row[0], "line outside a document", detail)


def _never_ended(block: _Block) -> Problem:
    detail = (
        f"{block.name.whole!r} has no line '#end document'; it is taken to end before the next one, or with the file"
    )
    return Problem(block.line, "document never ended", detail, skipped=False)


def _split(content: str) -> list[str]:
    if "\t" in content:
        return [cell.strip(" ") for cell in content.rstrip(" \t").split("\t")]
    return _WHITE_SPACE.split(content.strip(" "))


def _read_block(block: _Block) -> Iterator[ColumnDocument | Problem]:
    rows = block.rows
    word_column = _word_column(rows)
    problem = _wrong_rows(block)
    if problem is not None:
        yield problem
        return
    words = []
    problems = []
    for line, cells in rows:
        words.append(cells[word_column])
        if not words[-1] or words[-1].isspace():
            words[-1] = _EMPTY
            detail = f"the word (column {word_column} from 0) is empty or white space; it is read as {_EMPTY}"
            problems.append(Problem(line, "empty word", f"{detail} ({block.name.whole!r})", skipped=False))
    borders = sorted({0, *block.ends, len(rows)})
    sentences = tuple(tuple(words[start:end]) for start, end in itertools.pairwise(borders))
    speakers = None
    if rows and min(len(cells) for _, cells in rows) >= _FULL:
        speakers = tuple(cells[_FULL_SPEAKER] for _, cells in rows)
    clusters, wrong_brackets = _read_brackets(rows, block.name.whole)
    yield ColumnDocument(block.line, block.name, sentences, speakers, clusters)
    yield from sorted(problems + wrong_brackets, key=lambda problem: problem.line)


def _word_column(rows: Sequence[Row]) -> int:
    num_columns = min((len(cells) for _, cells in rows), default=0)
    if num_columns >= _FULL:
        return _FULL_WORD
    if num_columns > _FULL_WORD + 1 and len({cells[0] for _, cells in rows}) == 1 and _is_index(rows, 2):
        return _FULL_WORD
    return 1 if num_columns > 2 and _is_index(rows, 0) else 0


def _is_index(rows: Sequence[Row], column: int) -> bool:
    """Whether a column counts the words, from 0 or 1 on, of documents or sentences."""
    before = -1
    for _, cells in rows:
        cell = cells[column]
        if not (cell.isascii() and cell.isdigit()) or int(cell) not in (before + 1, 0, 1):
            return False
        before = int(cell)
    return True


def _wrong_rows(block: _Block) -> Problem | None:
    """The rows that cannot be read, as one problem: their document is left out for them."""
    least = _FULL if max((len(cells) for _, cells in block.rows), default=0) >= _FULL else 2
    wrong = [(line, cells) for line, cells in block.rows if len(cells) < least or _brackets(cells[-1]) is None]
    if not wrong:
        return None
    (line, cells), *others = wrong
    if 2 <= len(cells) < least:
        kind, detail = "missing column", f"ends a row of {len(cells)} columns, where other rows have {least} or more"
    elif len(cells) < 2:
        kind, detail = "missing column", "is one column; a word and, last, its brackets (or -) are needed"
    else:
        kind, detail = "no brackets", "in the last column is neither - nor brackets such as (12, 12) and (3)|(4"
    detail = f"{cells[-1][:40]!r} {detail}; {block.name.whole!r} is left out"
    if others:
        shown = [f"line {number:,} ({row[-1][:40]!r})" for number, row in others[: _MOST_SHOWN - 1]]
        rest = f" and {len(others) - len(shown):,} more" if len(others) > len(shown) else ""
        detail += f", also for {', '.join(shown)}{rest}"
    return Problem(line, kind, detail)


def _brackets(cell: str) -> tuple[list[str], list[str], list[str]] | None:
    """The clusters of the mentions that a cell holds wholly, begins and ends; None for what are no brackets."""
    if cell in _NOTHING:
        return [], [], []
    found: list[list[str]] = []
    for bracket in (_SINGLE, _OPENING, _CLOSING):
        found.append(bracket.findall(cell))
        cell = bracket.sub("|", cell)
    return None if cell.strip("|") else (found[0], found[1], found[2])


def _read_brackets(rows: Sequence[Row], name: str) -> tuple[tuple[tuple[Span, ...], ...], list[Problem]]:
    """The clusters, as spans of words, and what is wrong with the brackets.

    As the official scorer, in each row first whole mentions are read, then those that begin, then those that end; one
    that ends is that of its cluster that began last.
    """
    clusters: dict[str, dict[Span, None]] = {}
    open_mentions: dict[str, list[int]] = {}
    problems: list[Problem] = []
    rest = f"{name!r} is used without this mention"

    def add(cluster: str, mention: Span) -> None:
        mentions = clusters.setdefault(cluster, {})
        if mention in mentions:
            line = rows[mention.end - 1][0]
            first = rows[mention.start][0]
            detail = f"the mention of lines {first:,} to {line:,} comes twice in cluster {cluster}; it counts once"
            problems.append(Problem(line, "duplicate mention", f"{detail} ({name!r})", skipped=False))
        mentions[mention] = None

    for number, (line, cells) in enumerate(rows):
        whole, begun, ended = _brackets(cells[-1]) or ((), (), ())
        for cluster in whole:
            add(cluster, Span(number, number + 1))
        for cluster in begun:
            open_mentions.setdefault(cluster, []).append(number)
        for cluster in ended:
            if open_mentions.get(cluster):
                add(cluster, Span(open_mentions[cluster].pop(), number + 1))
            else:
                detail = f"{cluster}) closes what no ({cluster} has opened; {rest}"
                problems.append(Problem(line, "bracket never opened", detail, skipped=False))
    for cluster, numbers in open_mentions.items():
        for number in numbers:
            detail = f"no {cluster}) closes this ({cluster}; {rest}"
            problems.append(Problem(rows[number][0], "bracket never closed", detail, skipped=False))
    return tuple(tuple(mentions) for mentions in clusters.values()), problems
