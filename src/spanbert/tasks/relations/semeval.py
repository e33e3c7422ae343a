"""The file of SemEval-2010 task 8 (Hendrickx et al. 2010).

    1	"The <e1>author</e1> of a keygen uses a <e2>disassembler</e2> to look at the code."
    Instrument-Agency(e2,e1)
    Comment: anything

The text of an example is the sentence without its tags and the quotation marks around it; its head is e1, its tail e2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from spanbert.json_values import BadRecordError
from spanbert.task import Located, Problem
from spanbert.tasks.relations.examples import Entity, Relation, RelationExample

SENTENCE = re.compile(r"\s*(\d+)\t(.*)", re.DOTALL)
DIRECTED = re.compile(r"(.+)\(e([12]),e([12])\)")
_TAG = re.compile(r"<(/?)e([0-9]+)>")
_LOOKS_DIRECTED = re.compile(r"\(.*\)\s*$")


def read_semeval(lines: Iterable[tuple[int, str]]) -> Iterator[Located[RelationExample] | Problem]:
    """The examples of numbered lines; a sentence without a line for its relation (a test file) has no known answer."""
    sentence: tuple[int, str, str] | None = None  # line, id, marked text
    label: tuple[int, str] | None = None
    ended = False
    for line, content in lines:
        match = SENTENCE.fullmatch(content)
        if match:
            if sentence is not None:
                yield _example(sentence, label)
            sentence, label, ended = (line, match[1], match[2].strip()), None, False
        elif not content.strip():
            ended = ended or label is not None
        elif content.lstrip().startswith("Comment:"):
            ended = True
        elif sentence is None:
            yield Problem(
                line, "no sentence", "a relation without a sentence: write id, tab, sentence in the line before"
            )
        elif label is not None or ended:
            yield Problem(line, "unknown line", f"{content[:60]!r} is neither a sentence, its relation nor a comment")
        else:
            label = line, content.strip()
    if sentence is not None:
        yield _example(sentence, label)


def _example(sentence: tuple[int, str, str], label: tuple[int, str] | None) -> Located[RelationExample] | Problem:
    line, id, marked = sentence
    try:
        text, head, tail = _parse(marked)
        if label is not None:
            _check_direction(label[1])
    except BadRecordError as error:
        where = label[0] if label is not None and error.kind == "direction" else line
        return Problem(where, error.kind, f"sentence {id}: {error.detail}")
    relations = None if label is None else (Relation(0, 1, label[1]),)
    return Located(RelationExample(id=id, text=text, entities=(head, tail), asked=((0, 1),), relations=relations), line)


def _parse(marked: str) -> tuple[str, Entity, Entity]:
    """The text without tags, e1 and e2."""
    if len(marked) >= 2 and marked[0] == marked[-1] == '"':
        marked = marked[1:-1]
    places: dict[str, int] = {}
    parts: list[str] = []
    length = read = 0
    for tag in _TAG.finditer(marked):
        parts.append(marked[read : tag.start()])
        length += len(parts[-1])
        read = tag.end()
        if tag[2] not in "12":
            raise BadRecordError("wrong tags", f"{tag[0]} is not <e1>, </e1>, <e2> or </e2>")
        if tag[1] + tag[2] in places:
            raise BadRecordError("wrong tags", f"{tag[0]} stands twice")
        places[tag[1] + tag[2]] = length
    text = "".join([*parts, marked[read:]])
    entities = []
    for number in "12":
        for slash in ("", "/"):
            if slash + number not in places:
                raise BadRecordError("wrong tags", f"<{slash}e{number}> is missing")
        start, end = places[number], places["/" + number]
        if end < start:
            raise BadRecordError("wrong tags", f"</e{number}> stands before <e{number}>")
        if not text[start:end].strip():
            raise BadRecordError("blank span", f"there is nothing between <e{number}> and </e{number}>")
        entities.append(Entity(start, end))
    head, tail = entities
    if head == tail:
        raise BadRecordError("head is tail", "e1 and e2 are the same words; a relation is between two spans")
    return text, head, tail


def _check_direction(label: str) -> None:
    match = DIRECTED.fullmatch(label)
    if _LOOKS_DIRECTED.search(label) and (match is None or match[2] == match[3]):
        raise BadRecordError("direction", f"{label!r}: a direction is (e1,e2) or (e2,e1)")
