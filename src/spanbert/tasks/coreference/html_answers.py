"""`spanbert predict --format html`: a page that shows documents with their chains in colour."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from spanbert.html_page import PAGE_END, page_start
from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.tasks.coreference.chains import Chain, Chains
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction, PredictedMention
from spanbert.tasks.coreference.html_style import NUM_COLOURS, NUM_LEVELS, SCRIPT, STYLE
from spanbert.text_answers import around, percent, shortened
from spanbert.visible_text import escaped, escaped_attribute

_UNSURE = 0.5
"""A link that is less probable is marked with a question mark."""

_MOST_IN_RUN = 60
"""How far back from the end of a mention the letter is sought that says in which direction the text runs there."""

_LEGEND = {
    "?": "A question mark: this link is more likely wrong than right.",
    "once": '<span class="line once">A thin grey line</span>: mentioned once.',
    "dashed": (
        '<span class="line k0 dashed">A dashed line</span>: there are more chains than colours, and this colour is '
        "another chain's, too; the number tells them apart."
    ),
}
"""What does not occur in every document, and how it reads."""


class HtmlAnswers:
    """One page for all documents, written as they come."""

    def __init__(self, source: str) -> None:
        self._title = "Coreference" if source.startswith("<") else f"Coreference in {PurePath(source).name}"
        self._num_documents = 0
        self._explained: set[str] = set()

    def start(self) -> str:
        """The head of the page, and how to read it."""
        return (
            page_start(self._title, style=STYLE, script=SCRIPT)
            + f"""<h1>{escaped(self._title)}</h1>
<p class="note">Stretches of text with the same number and colour are the same thing: a chain. Point at one to see what
it was linked to and how sure that is; its number leads to the next mention of the chain.</p>
"""
        )

    def part(self, answer: Answer[CoreferenceExample, CoreferencePrediction] | ErrorRecord) -> str:
        """The section of a document, or the box of an error."""
        if isinstance(answer, ErrorRecord):
            name = f"Line {answer.line:,}" + ("" if answer.id in (None, str(answer.line)) else f": {answer.id}")
            return f'<section class="error"><h2>{escaped(name)}</h2>\n<p>{escaped(answer.error)}</p></section>\n'
        self._num_documents += 1
        return "".join(_document(answer, self._num_documents, self._explained))

    def end(self) -> str:
        """The end of the page."""
        return PAGE_END


def _document(
    answer: Answer[CoreferenceExample, CoreferencePrediction], number: int, explained: set[str]
) -> Iterator[str]:
    text = answer.example.text
    chains = Chains.of(text, answer.prediction)
    marks = list(_marks(text, chains, prefix=f"d{number}m"))
    # A document that only has the number of its line needs no heading where it is alone on the page.
    named = answer.example.id != str(answer.line)
    heading = answer.example.id if named else f"Document in line {answer.line:,}"
    yield f'<section class="document{"" if named else " unnamed"}"><h2>{escaped(heading)}</h2>\n'
    link = f' <a class="to-list" href="#d{number}list">List of chains</a>' if chains.chains else ""
    yield f'<p class="soft">{escaped(chains.summary())}{link}</p>\n'
    yield from _legend(marks, explained)
    yield '<div class="columns">\n<div class="text" dir="auto">'
    yield from _marked(text, marks)
    yield "</div>\n"
    # Behind the text, where it stands in print and on narrow screens.
    if chains.chains:
        yield from _list(text, chains.chains, marks, f"d{number}list")
    yield "</div></section>\n"


@dataclass(slots=True)
class _Mark:
    """A mention on the page: its place in the text, and HTML."""

    start: int
    end: int
    chain: Chain | None
    anchor: str
    title: str
    label: str
    """Stands at its end."""
    unsure: bool
    level: int = 0
    """How many lines of other mentions lie between it and its own."""

    @property
    def kind(self) -> str:
        """Its colour and line."""
        return "once" if self.chain is None else _colour(self.chain)

    def opening(self, *, again: bool = False) -> str:
        """The tag. A mention that others cross is in parts; the first of them is where links lead."""
        anchor = "" if again else f' id="{self.anchor}"'
        chain = "" if self.chain is None else f' data-c="{self.chain.number}"'
        return f'<mark{anchor} class="{self.kind} l{min(self.level, NUM_LEVELS)}"{chain} title="{self.title}">'


def _marks(text: str, chains: Chains, prefix: str) -> Iterator[_Mark]:
    """The mentions in order of the text, the wider first."""
    items: list[tuple[PredictedMention, Chain | None]] = [
        (mention, chain) for chain in chains.chains for mention in chain.mentions
    ]
    items += [(mention, None) for mention in chains.alone]
    items.sort(key=lambda item: (item[0].start, -item[0].end))
    places: dict[int, list[int]] = defaultdict(list)  # of the mentions of each chain
    for place, (_, chain) in enumerate(items):
        if chain is not None:
            places[chain.number].append(place)
    following = {
        place: after for of_chain in places.values() for place, after in itertools.pairwise([*of_chain, of_chain[0]])
    }
    for place, (mention, chain) in enumerate(items):
        label = ""
        unsure = chain is not None and mention.probability is not None and mention.probability < _UNSURE
        if chain is not None:
            label = (
                f'<a{_run(text, mention)} href="#{prefix}{following[place]}">{chain.number}{"?" if unsure else ""}</a>'
            )
        title = escaped_attribute(_title(text, mention, chain))
        yield _Mark(mention.start, mention.end, chain, f"{prefix}{place}", title, label, unsure)


def _run(text: str, mention: PredictedMention) -> str:
    """The class of a label that does not go on from left to right."""
    before = text[max(0, mention.end - _MOST_IN_RUN) : mention.end]
    kinds = [kind for kind in map(unicodedata.bidirectional, reversed(before)) if kind != "NSM"]  # no accents
    last = kinds[0] if kinds else ""
    if last == "EN" and next((kind for kind in kinds if kind in ("L", "R", "AL", "B")), "") == "L":
        last = "L"  # digits after letters from left to right are a part of them
    return {"L": "", "R": ' class="rtl"', "AL": ' class="rtl"'}.get(last, ' class="any"')


def _title(text: str, mention: PredictedMention, chain: Chain | None) -> str:
    sure = "" if mention.probability is None else f", {percent(mention.probability)} sure"
    if chain is None:
        return f"mentioned once{sure}"
    said = f"{chain.number}: {chain.name}"
    if mention.antecedent is None:
        return f"{said}; its first mention"
    start, end = mention.antecedent
    return f"{said}; linked to “{shortened(text[start:end])}” at {start:,}{sure}"


def _colour(chain: Chain) -> str:
    line, colour = divmod(chain.number - 1, NUM_COLOURS)
    return f"k{colour}" + (" dashed" if line % 2 else "")


def _legend(marks: Sequence[_Mark], explained: set[str]) -> Iterator[str]:
    """What occurs here for the first time on the page."""
    occur = {kind for mark in marks for kind in mark.kind.split()} | {"?" for mark in marks if mark.unsure}
    new = [said for kind, said in _LEGEND.items() if kind in occur - explained]
    explained |= occur
    if new:
        yield f'<p class="note">{" ".join(new)}</p>\n'


def _list(text: str, chains: Sequence[Chain], marks: Sequence[_Mark], anchor: str) -> Iterator[str]:
    """The chains by size; each leads to its first mention, which is quoted where several have one name."""
    anchors: dict[int, str] = {}
    for mark in marks:
        if mark.chain is not None:
            anchors.setdefault(mark.chain.number, mark.anchor)
    named = Counter(chain.name.casefold() for chain in chains)
    yield f'<nav id="{anchor}" aria-label="Chains"><h3>Chains, the longest first</h3><ol>\n'
    for chain in sorted(chains, key=lambda chain: -len(chain.mentions)):
        quoted = ""
        if named[chain.name.casefold()] > 1:
            quoted = f'<bdi class="quoted">{_quoted(text, chain.mentions[0])}</bdi>'
        yield (
            f'<li class="{_colour(chain)}" data-c="{chain.number}"><a href="#{anchors[chain.number]}">'
            f"<b>{chain.number}</b> <bdi>{escaped(chain.name)}</bdi>{quoted}</a> "
            f"<small>{len(chain.mentions):,}×</small></li>\n"
        )
    yield "</ol></nav>\n"


def _quoted(text: str, mention: PredictedMention) -> str:
    """A mention between the words around it, as HTML on one line."""
    left, right = map(escaped, around(text, mention.start, mention.end, num_words=3, most=30))
    return f"{left}<em>{escaped(shortened(text[mention.start : mention.end]))}</em>{right}"


def _marked(text: str, marks: Sequence[_Mark]) -> Iterator[str]:
    """The text with its marks; where two cross, the one that began first is closed and opened again."""
    _set_levels(marks)
    shown = text.replace("\r\n", " \n").replace("\r", "\n")  # of the same length
    open_marks: list[_Mark] = []
    position = 0
    coming = 0
    for place in sorted({place for mark in marks for place in (mark.start, mark.end)}):
        yield escaped(shown[position:place])
        position = place
        kept = [mark for mark in open_marks if mark.end > place]
        unchanged = next((i for i, mark in enumerate(open_marks) if mark.end <= place), len(open_marks))
        for mark in reversed(open_marks[unchanged:]):
            yield (mark.label if mark.end <= place else "") + "</mark>"
        for mark in kept[unchanged:]:
            yield mark.opening(again=True)
        open_marks = kept
        while coming < len(marks) and marks[coming].start == place:
            open_marks.append(marks[coming])
            yield marks[coming].opening()
            coming += 1
    yield escaped(shown[position:])


def _set_levels(marks: Sequence[_Mark]) -> None:
    """Make each line so low that those of the mentions inside fit above it."""
    around: list[_Mark] = []
    for mark in marks:
        around = [one for one in around if one.end > mark.start]
        around.append(mark)
        for level, one in enumerate(reversed(around)):
            one.level = max(one.level, level)
