"""Reading the documents of the sample corpus: headers, annotated text, relations, questions.

A file of the corpus looks like this (the inline markup is described in `spanbert.sample_corpus.markup`):

    title: The Ferry That Waited
    topic: places
    kind: review                 article, review or conversation
    sentiment: positive          for reviews, and only for them
    ---
    One paragraph a line. Blank lines between them do not count. In a conversation a line may begin with
    `Name: `, which is its speaker and part of the text.
    --- relations
    @1 works_for @2
    --- questions
    ? Who runs the boat?
    = Marta Oyelaran             must stand in the text; `= 1987 ~2` means its second occurrence there
    = Marta                      another right answer
    ? How much does a ticket cost?
    = (no answer)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from spanbert.errors import ConfigurationError, InputError
from spanbert.sample_corpus.markup import SourceLine, parse_markup, splits_word
from spanbert.spans import Span

LANGUAGES = ("en", "zh")
TOPICS = ("people", "places", "science", "companies", "medicine", "finance", "daily_life")
KINDS = ("article", "review", "conversation")
SENTIMENTS = ("positive", "negative", "mixed")
RELATION_TYPES = (
    "founder_of",
    "works_for",
    "member_of",
    "located_in",
    "born_in",
    "part_of",
    "owner_of",
    "produces",
    "author_of",
    "treats",
    "family_of",
)

_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_HEADERS = {"title": None, "topic": TOPICS, "kind": KINDS, "sentiment": SENTIMENTS}
_SECTIONS = ("relations", "questions")
_SPEAKER = re.compile(r"([^\s:]+(?: [^\s:]+){0,3}): (?=\S)")
_RELATION = re.compile(r"@([1-9][0-9]*) (\S+) @([1-9][0-9]*)", re.ASCII)
_OCCURRENCE = re.compile(r"(.*\S) ~([0-9]+)", re.ASCII)
_NO_ANSWER = "(no answer)"


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A named thing in the text: half-open, in code points of the document's text; `type` is one of ENTITY_TYPES."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What the text says of two entities of one paragraph, as in (Marta Oyelaran, works_for, Skerry Ferries)."""

    head: Entity
    type: str
    tail: Entity


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A place in the document's text that answers a question: `document.text[start:end] == text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question and the answers that count as right; without answers, the text does not answer it."""

    question: str
    answers: tuple[Answer, ...]

    @property
    def answerable(self) -> bool:
        """Whether the text answers the question."""
        return bool(self.answers)


@dataclass(frozen=True, kw_only=True)
class SampleDocument:
    """One document of the sample corpus with all that is annotated in it.

    All offsets are half-open and count code points of `text`: the paragraphs, joined by a newline, without the title.
    """

    name: str
    """The file's name without its ending; no two shipped documents share one."""
    language: str
    title: str
    topic: str
    kind: str
    sentiment: str | None
    """Of reviews, and None for all others."""
    text: str
    speakers: tuple[str | None, ...]
    """For each line of `text`, who says it: None outside conversations and where a line names nobody."""
    entities: tuple[Entity, ...]
    """Ordered by start, the outer before the inner where one lies inside another."""
    clusters: Mapping[str, tuple[Span, ...]]
    """Coreference: the mentions of one thing, by the name of the cluster. They may nest; one mention is a singleton."""
    relations: tuple[Relation, ...]
    questions: tuple[Question, ...]


def sample_documents(language: str | None = None) -> tuple[SampleDocument, ...]:
    """The documents that come with this package, ordered by language and name.

    `language` is "en" or "zh"; None gives all. Raises `ConfigurationError` for another language.
    """
    if language is not None and language not in LANGUAGES:
        raise ConfigurationError(f"the sample corpus has no language {language!r}; it has {', '.join(LANGUAGES)}")
    documents: list[SampleDocument] = []
    for folder in LANGUAGES if language is None else (language,):
        files = (resources.files("spanbert.sample_corpus") / folder).iterdir()
        for file in sorted((file for file in files if file.name.endswith(".txt")), key=lambda file: file.name):
            source = f"{folder}/{file.name}"
            content = _decode(file.read_bytes(), source)
            name = file.name.removesuffix(".txt")
            documents.append(parse_sample_document(content, name=name, language=folder, source=source))
    return tuple(documents)


def read_sample_document(path: Path) -> SampleDocument:
    """Read one file; the folder that it is in gives the language (`en` or `zh`).

    Raises `InputError` with file and line for everything that does not follow the format.
    """
    source = str(path)
    language = path.resolve().parent.name
    if language not in LANGUAGES:
        raise InputError(
            f"the file must lie in a folder named after its language: {' or '.join(LANGUAGES)}", source=source
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=source) from error
    return parse_sample_document(_decode(content, source), name=path.stem, language=language, source=source)


def parse_sample_document(content: str, *, name: str, language: str, source: str | None = None) -> SampleDocument:
    """Take the content of a file apart; `source` is what error messages call the file.

    Raises `InputError` with file and line for everything that does not follow the format.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the file name {name!r} is not made of a-z and 0-9 joined by '-' or '_'", source=source)
    headers, body, sections = _split(content, source)
    text, speakers, entities, clusters, numbered = _body(body, conversation=headers["kind"] == "conversation")
    return SampleDocument(
        name=name,
        language=language,
        title=headers["title"],
        topic=headers["topic"],
        kind=headers["kind"],
        sentiment=headers.get("sentiment"),
        text=text,
        speakers=speakers,
        entities=entities,
        clusters=clusters,
        relations=_relations(sections.get("relations", []), numbered),
        questions=_questions(sections.get("questions", []), text),
    )


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            "this byte is not UTF-8: save the file as UTF-8", source=source, line=line, offset=error.start
        ) from error


def _split(content: str, source: str | None) -> tuple[dict[str, str], list[SourceLine], dict[str, list[SourceLine]]]:
    """The headers, the lines of the body and those of the sections after it, blank lines left out."""
    header_lines: list[SourceLine] = []
    body: list[SourceLine] | None = None
    sections: dict[str, list[SourceLine]] = {}
    current = header_lines
    for number, text in enumerate(content.replace("\r\n", "\n").split("\n"), start=1):
        line = SourceLine(source, number, text)
        if text != text.strip() or any(unicodedata.category(character) == "Cc" for character in text):
            raise line.error("the line begins or ends with a space or holds a control character: remove it")
        if body is None and text == "---":
            body = current = []
        elif body is not None and text.startswith("---"):
            section = text[3:].strip()
            if section not in _SECTIONS:
                raise line.error(f"unknown section {text!r}; after the text come {' and '.join(_SECTIONS)}")
            if section in sections or (section == "relations" and sections):
                raise line.error(
                    f"the section {section!r} comes twice or in the wrong order: relations, then questions"
                )
            sections[section] = current = []
        elif text:
            current.append(line)
    if body is None:
        raise InputError("no line '---' ends the headers", source=source, line=1)
    if not body:
        raise InputError("no text after the headers", source=source, line=len(header_lines) + 1)
    return _headers(header_lines, source), body, sections


def _headers(lines: list[SourceLine], source: str | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        key, colon, value = (part.strip() for part in line.text.partition(":"))
        if not colon or key not in _HEADERS:
            raise line.error(f"unknown header {line.text!r}; the headers are {', '.join(_HEADERS)}")
        if key in headers:
            raise line.error(f"the header {key!r} comes twice")
        allowed = _HEADERS[key]
        if not value or (allowed is not None and value not in allowed):
            choice = f": one of {', '.join(allowed)}" if allowed is not None else ""
            raise line.error(f"the header {key!r} cannot be {value!r}{choice}")
        headers[key] = value
    last = len(lines) + 1
    for key in ("title", "topic", "kind"):
        if key not in headers:
            raise InputError(f"the header {key!r} is missing", source=source, line=last)
    if (headers["kind"] == "review") != ("sentiment" in headers):
        raise InputError("a review, and nothing else, has the header 'sentiment'", source=source, line=last)
    return headers


def _body(
    lines: Iterable[SourceLine], *, conversation: bool
) -> tuple[
    str,
    tuple[str | None, ...],
    tuple[Entity, ...],
    dict[str, tuple[Span, ...]],
    dict[int, tuple[SourceLine, Entity]],
]:
    """Text, speakers, entities, clusters, and the numbered mentions with their lines."""
    paragraphs: list[str] = []
    speakers: list[str | None] = []
    entities: list[Entity] = []
    clusters: dict[str, list[Span]] = {}
    numbered: dict[int, tuple[SourceLine, Entity]] = {}
    offset = 0
    line = None
    for line in lines:
        plain, mentions = parse_markup(line)
        for mention in mentions:
            span = Span(mention.start + offset, mention.end + offset)
            if mention.cluster is not None:
                clusters.setdefault(mention.cluster, []).append(span)
            if mention.type is not None:
                entity = Entity(start=span.start, end=span.end, type=mention.type)
                entities.append(entity)
                if mention.number in numbered:
                    raise line.error(f"the mention number @{mention.number} comes twice")
                if mention.number is not None:
                    numbered[mention.number] = (line, entity)
        paragraphs.append(plain)
        speakers.append(_speaker(plain) if conversation else None)
        offset += len(plain) + 1
    if conversation and line is not None and len({speaker for speaker in speakers if speaker is not None}) < 2:
        raise line.error(
            "a conversation has two speakers or more: lines that begin with 'Name: ' (an ASCII colon and a space)"
        )
    return (
        "\n".join(paragraphs),
        tuple(speakers),
        tuple(entities),
        {name: tuple(spans) for name, spans in clusters.items()},
        numbered,
    )


def _speaker(line: str) -> str | None:
    """The name before the first colon: one to four words, none of which begins with a small letter."""
    match = _SPEAKER.match(line)
    if match is None or any(word[0].islower() for word in match[1].split(" ")):
        return None
    return match[1]


def _relations(lines: list[SourceLine], numbered: dict[int, tuple[SourceLine, Entity]]) -> tuple[Relation, ...]:
    relations: list[Relation] = []
    used: set[int] = set()
    for line in lines:
        match = _RELATION.fullmatch(line.text)
        if match is None:
            raise line.error(f"{line.text!r} is not a relation: write '@1 works_for @2'")
        head, tail = int(match[1]), int(match[3])
        if match[2] not in RELATION_TYPES:
            raise line.error(f"unknown relation type {match[2]!r}; the types are {', '.join(RELATION_TYPES)}")
        for number in (head, tail):
            if number not in numbered:
                raise line.error(f"no mention in the text has the number @{number}")
        if head == tail:
            raise line.error(f"@{head} stands in a relation with itself")
        (head_line, head_entity), (tail_line, tail_entity) = numbered[head], numbered[tail]
        if head_line.number != tail_line.number:
            raise line.error(
                f"@{head} (line {head_line.number}) and @{tail} (line {tail_line.number}) are in different paragraphs"
            )
        relation = Relation(head=head_entity, type=match[2], tail=tail_entity)
        if relation in relations:
            raise line.error(f"the relation {line.text!r} comes twice")
        relations.append(relation)
        used |= {head, tail}
    for number, (line, _) in numbered.items():
        if number not in used:
            raise line.error(f"the mention @{number} takes part in no relation: add one or remove the number")
    return tuple(relations)


def _questions(lines: list[SourceLine], text: str) -> tuple[Question, ...]:
    asked: list[tuple[SourceLine, str, list[Answer] | None]] = []  # None: no line with '=' yet
    for line in lines:
        mark, _, value = line.text.partition(" ")
        if mark == "?":
            if not value.strip():
                raise line.error("the question is empty")
            asked.append((line, value.strip(), None))
        elif mark != "=" or not value.strip():
            raise line.error(f"{line.text!r} is neither '? question' nor '= answer'")
        elif not asked:
            raise line.error("an answer comes before any question")
        else:
            question_line, question, answers = asked[-1]
            if answers is not None and (value == _NO_ANSWER or not answers):
                raise line.error("a question has answers or '(no answer)', once, and not both")
            answer = [] if value == _NO_ANSWER else [_answer(line, value.strip(), text)]
            if answers is not None and answer[0] in answers:
                raise line.error(f"the answer {value!r} comes twice")
            asked[-1] = (question_line, question, (answers or []) + answer)
    questions: list[Question] = []
    for line, question, answers in asked:
        if answers is None:
            raise line.error("the question has no answer: write '= answer' or '= (no answer)' below it")
        if any(question == earlier.question for earlier in questions):
            raise line.error("the question comes twice")
        questions.append(Question(question=question, answers=tuple(answers)))
    return tuple(questions)


def _answer(line: SourceLine, value: str, text: str) -> Answer:
    """Find an answer, given as its text or as `text ~n`, in the document."""
    match = _OCCURRENCE.fullmatch(value)
    wanted, occurrence = (match[1], int(match[2])) if match else (value, 1)
    starts = [found.start() for found in re.finditer(re.escape(wanted), text)]
    if not starts:
        raise line.error(f"the answer {wanted!r} does not stand in the text")
    if not 1 <= occurrence <= len(starts):
        raise line.error(f"the answer {wanted!r} stands {len(starts)} times in the text, so there is no ~{occurrence}")
    start = starts[occurrence - 1]
    end = start + len(wanted)
    if splits_word(text, start) or splits_word(text, end):
        raise line.error(f"occurrence {occurrence} of {wanted!r} begins or ends inside a word: choose another with ~")
    return Answer(start=start, end=end, text=wanted)
