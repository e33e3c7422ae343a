from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import written_answers

from spanbert.errors import ConfigurationError
from spanbert.output_formats import open_writer
from spanbert.predict import PredictConfig, run
from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.spans import Span
from spanbert.task import examples_of
from spanbert.task_checkpoints import new_task_model, save_task_model
from spanbert.tasks import TASKS, find_task
from spanbert.tasks.coreference.config import CoreferenceDataOptions, CoreferenceSettings
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction, PredictedMention
from spanbert.tasks.coreference.task import CoreferenceResolution

Made = Answer[CoreferenceExample, CoreferencePrediction]


def answer(text: str, *clusters: list[tuple[int, int]], id: str = "1", line: int = 1) -> Made:
    """An answer in which every mention is linked to the one before, each less surely."""
    made = tuple(
        tuple(
            PredictedMention(*span, text[slice(*span)], Span(*cluster[n - 1]), 1 - n / 3)
            if n
            else PredictedMention(*span, text[slice(*span)])
            for n, span in enumerate(cluster)
        )
        for cluster in clusters
    )
    return Answer(line, CoreferenceExample(id, text), CoreferencePrediction(id, made, text))


STORY = "Ada <b> met his\r\nmother & she saw her\x07."
ANSWER = answer(STORY, [(0, 3), (26, 29)], [(12, 23), (34, 37)], [(12, 15)])
ERROR = ErrorRecord(2, "the key 'text' is missing <i>\nor not", "x")


def written(format: str, *answers: Made | ErrorRecord, source: str = "a/story.txt", colour: bool = False) -> str:
    task = CoreferenceResolution(CoreferenceSettings())
    return written_answers.written(task, *answers, format=format, source=source, colour=colour)


class Page(HTMLParser):
    """Checks that elements nest, and finds texts, marks and targets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.marked: dict[str | None, list[str]] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("meta", "br"):
            self.open.append((tag, values))
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value[1:] for name, value in attrs if name == "href" and value]
        if values.get("class") == "text":
            self.texts.append("")
        if tag == "mark":
            self.marked.setdefault(values.get("data-c"), []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self.open]
        if any(values.get("class") == "text" for _, values in self.open) and "a" not in tags and "span" not in tags:
            self.texts[-1] += data
            for tag, values in self.open:
                if tag == "mark":
                    self.marked[values.get("data-c")][-1] += data


def test_a_page_shows_the_text_as_given_and_its_chains() -> None:
    html = written("html", ANSWER, ERROR)
    page = Page(html)
    assert page.texts == [STORY.replace("\r", " ").replace("\x07", "")]
    assert page.marked == {"1": ["Ada", "she"], "2": ["his \nmother", "her"], None: ["his"]}
    assert set(page.links) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)) == 6  # of five mentions and the list
    assert "2 chains with 4 mentions; 1 thing mentioned once" in html
    assert 'title="1: Ada; linked to “Ada” at 0, 67 % sure"' in html
    assert re.search(r'<section class="error".*Line 2: x</h2>\n<p>the key &#x27;text&#x27; is missing &lt;i&gt;', html)
    assert "<h1>Coreference in story.txt</h1>" in html
    assert 'class="document unnamed"' in html
    assert not re.search(r'(src|href)="(?!#)|url\(|@import', html)


def test_an_unsure_link_is_marked_and_several_documents_have_anchors_of_their_own() -> None:
    text = "a b c d"
    first, second = answer(text, [(0, 1), (2, 3), (4, 5)], id="one"), answer(text, [(0, 1), (2, 3)], id="two", line=2)
    html = written("html", first, second)
    page = Page(html)
    assert html.count(">1?</a>") == 1
    assert html.count('<section class="document"><h2>') == 2
    assert len(page.ids) == len(set(page.ids)) == 7
    assert set(page.links) <= set(page.ids)
    assert html.startswith("<!doctype html>")
    assert html.endswith("</html>\n")


def test_mentions_that_cross_are_cut_and_those_that_nest_are_not() -> None:
    text = "abcdef"
    page = Page(written("html", answer(text, [(0, 4), (5, 6)], [(2, 6), (0, 1)])))
    assert page.texts == [text]
    # The first is whole; the second, which is open when the first ends, goes on behind it.
    assert "".join(page.marked["1"]) == "abcdf"
    assert "".join(page.marked["2"]) == "acdef"
    assert len(page.ids) == len(set(page.ids)) == 5


def test_the_legend_explains_what_occurs_and_once() -> None:
    text = "a a b b c c d d e e f f g g h"
    clusters = [[(n, n + 1), (n + 2, n + 3)] for n in range(0, 28, 4)]
    question, thin, dashed = "A question mark", ">A thin grey line</span>", ">A dashed line</span>"

    def explained(*answers: Made) -> list[int]:
        html = written("html", *answers)
        return [html.count(said) for said in (question, thin, dashed)]

    assert explained(answer(text, *clusters[:6])) == [0, 0, 0]
    assert explained(answer(text, *clusters)) == [0, 0, 1]
    assert explained(answer(text, *clusters, [(28, 29)])) == [0, 1, 1]
    assert explained(answer("a b c", [(0, 1), (2, 3), (4, 5)])) == [1, 0, 0]
    assert explained(answer(text, *clusters), answer(text, *clusters, [(28, 29)], line=2)) == [0, 1, 1]


def test_only_chains_of_one_name_are_quoted() -> None:
    text = "Ibrahim <met> Bo.\nLater the\tother ibrahim came. Bo saw Ibrahim, and ibrahim saw Bo."
    places = [(one.start(), one.end()) for one in re.finditer("[Ii]brahim", text)]
    bos = [(one.start(), one.end()) for one in re.finditer("Bo", text)]
    html = written("html", answer(text, [places[0], places[2]], bos, [places[1], places[3]]))
    assert re.findall(r'<bdi class="quoted">(.*?)</bdi>', html) == [
        "<em>Ibrahim</em> &lt;met&gt; Bo. Later…",
        "…Later the other <em>ibrahim</em> came. Bo saw…",
    ]
    assert "quoted" not in written("html", answer(text, places, bos)).partition("<body>")[2]


@pytest.mark.parametrize(
    ("text", "mention", "kind"),
    [
        ("Ada met", "Ada", ""),
        ("שלום to Ada", "Ada", ""),
        ("on April 5, 1843", "April 5, 1843", ""),
        ("met דנה כהן there", "דנה כהן", ' class="rtl"'),
        ("קָ", "קָ", ' class="rtl"'),
        ("met דנה 5 there", "דנה 5", ' class="any"'),
        ("ל-1843", "1843", ' class="any"'),
        ("عام ١٨٤٣", "١٨٤٣", ' class="any"'),
        ("שלום U.S. שם", "U.S.", ' class="any"'),
        ("Ada\n1843", "1843", ' class="any"'),
    ],
)
def test_labels_stay_with_their_mentions_in_either_direction(text: str, mention: str, kind: str) -> None:
    start = text.index(mention)
    spans = [(start, start + len(mention)), (len(text) + 1, len(text) + 2)]
    html = written("html", answer(f"{text}\nx", spans))
    assert f'>{mention}<a{kind} href="#d1m1">1</a></mark>' in html
    assert "mark a { unicode-bidi: embed; direction: ltr; }" in html
    assert "mark a.rtl { direction: rtl; }" in html


def test_the_list_stands_behind_the_text_and_colours_are_printed() -> None:
    html = written("html", ANSWER)
    assert html.index('<div class="text"') < html.index('<nav id="d1list"')
    assert html.index('href="#d1list"') < html.index('<div class="text"')
    assert re.search(r"mark, nav li {[^}]* print-color-adjust: exact;", html)
    assert "#d1list" not in written("html", answer("Nobody.", [(0, 6)]))


def test_a_long_document_makes_a_page_of_a_few_megabytes() -> None:
    text = "word " * 50_000
    clusters = [[(25 * n, 25 * n + 4), (25 * n + 10, 25 * n + 14)] for n in range(1500)]
    html = written("html", answer(text, *clusters))
    assert len(html.encode()) < 2_000_000
    assert html.count("<mark") == 3000


def test_lines_for_people() -> None:
    assert written("text", ANSWER, ERROR, answer("a\x1b[2J", id="n")) == (
        "1: 2 chains with 4 mentions; 1 thing mentioned once\n"
        "  1  Ada [0:3], she [26:29] 67 %\n"
        "  2  his mother [12:23], her [34:37] 67 %\n"
        "  once: his [12:15]\n"
        "\n"
        "line 2 (x): error: the key 'text' is missing <i> or not\n"
        "\n"
        "n: no chains\n"
    )
    assert "\x1b[34mAda\x1b[0m" in written("text", ANSWER, colour=True)


def test_columns_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "answers.conll"
    first = answer("Ada met Bo. She ran.", [(0, 3), (12, 15)], id="a")
    path.write_text(written("conll", first, ERROR, answer("Bo", id="b")))
    assert "\n# error in line 2 (x): the key 'text' is missing <i> or not\n" in path.read_text()
    gold = [first.example, CoreferenceExample("b", "Bo")]
    predictions, problems = CoreferenceResolution.read_predictions(path, gold, CoreferenceDataOptions())
    assert problems == []
    assert [one and one.spans for one in predictions] == [first.prediction.spans, ()]


@pytest.mark.parametrize("name", TASKS)
def test_every_format_of_every_task_can_be_opened_and_no_other(name: str) -> None:
    task = find_task(name)(find_task(name).settings_class())
    for format in ("jsonl", *task.output_formats):
        assert open_writer(task, format, "a.txt").end() is not None
    known = ", ".join(("jsonl", *task.output_formats))
    with pytest.raises(ConfigurationError, match=f"--format xml: the answers of a {name} model .* {known}$"):
        open_writer(task, "xml", "a.txt")


# With a model


@pytest.fixture(scope="module")
def model(encoder_folder: Path, task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights."""
    task = CoreferenceResolution(CoreferenceSettings(max_length=64, stride=16, hidden_size=32))
    located, _ = examples_of(task.read(task_files("coreference") / "train.jsonl", task.settings))
    task = task.learn([one.example for one in located])
    model, tokenizer, _ = new_task_model(task, encoder_folder)
    folder = tmp_path_factory.mktemp("models") / "coreference"
    save_task_model(model, task, tokenizer, folder)
    return folder


def test_the_command_writes_every_format(model: Path, tmp_path: Path) -> None:
    records = tmp_path / "stories.jsonl"
    texts = ["Ada met Bo. She saw him, and he saw her. " * 3, "小明说他走了。"]
    lines = [{"id": "en", "text": texts[0]}, {"txt": "?"}, {"id": "zh", "text": texts[1]}]
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    common: dict[str, Any] = {
        "model": str(model), "file": str(records), "golden": "skip", "device": "cpu", "precision": "fp32", "quiet": True
    }  # fmt: skip
    outputs = {}
    for format in ("jsonl", *CoreferenceResolution.output_formats):
        outputs[format] = tmp_path / f"out.{format}"
        assert run(PredictConfig(**common, format=format, output=outputs[format])) == 1
    english, error, chinese = map(json.loads, outputs["jsonl"].read_text().splitlines())
    assert (english["id"], error["line"], chinese["id"]) == ("en", 2, "zh")
    for record, text in ((english, texts[0]), (chinese, texts[1])):
        for mention in (mention for cluster in record["clusters"] for mention in cluster):
            assert text[mention["start"] : mention["end"]] == mention["text"]
    assert Page(outputs["html"].read_text()).texts == texts
    assert "line 2: error: " in outputs["text"].read_text()
    assert outputs["conll"].read_text().count("#begin document") == 2
    with pytest.raises(ConfigurationError, match="--format page"):
        run(PredictConfig(**common, format="page", output=tmp_path / "never"))
    assert not (tmp_path / "never").exists()
