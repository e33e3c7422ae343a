from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import spanbert.loading
from spanbert.predict import PredictConfig, run
from spanbert.tasks.ner.config import EntitySettings
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction, PredictedEntity
from spanbert.tasks.ner.task import NamedEntityRecognition
from spanbert.text_answers import around, one_line, percent, shortened


@given(st.text(alphabet="ab \n\t", max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_a_quotation_is_a_part_of_the_text_and_says_where_something_is_left_out(
    text: str, some: int, other: int
) -> None:
    start, end = sorted((min(some, len(text)), min(other, len(text))))
    quoted = text[start:end]
    before, after = around(text, start, end, num_words=100, most=100)
    assert "…" not in before + after
    assert one_line(before + quoted + after) == one_line(text)
    before, after = around(text, start, end, num_words=2, most=9)
    assert before.startswith("…") == (len(before.removeprefix("…").lstrip()) < len(one_line(text[:start] + "|")) - 1)
    assert one_line(text[:start] + "|").endswith(one_line(before.removeprefix("…") + "|"))
    assert one_line("|" + text[end:]).startswith(one_line("|" + after.removesuffix("…")))


def test_words_are_quoted_whole_where_there_are_any() -> None:
    text = "The islands are named after Tristao da Cunha, who never landed there."
    start = text.index("Tristao")
    end = start + len("Tristao da Cunha")
    assert around(text, start, end, num_words=3, most=30) == ("…are named after ", ", who never landed…")
    assert around(text, start, end, num_words=9, most=14) == ("…named after ", ", who never…")
    assert around("特里斯坦群岛以特里斯坦命名", 7, 11, num_words=3, most=3) == ("…群岛以", "命名")


def test_long_stretches_are_shortened_and_only_certainty_is_100_percent() -> None:
    assert shortened(" a\n\tb ") == "a b"
    assert shortened("word " * 20) == "word " * 11 + "word…"
    assert [percent(p) for p in (0.0, 0.005, 0.4949, 0.999, 1.0)] == ["0 %", "1 %", "49 %", "99 %", "100 %"]


# The command


def names_in(example: EntityExample) -> EntityPrediction:
    """Every word that begins with a capital letter is a name."""
    entities: list[PredictedEntity] = []
    for word in example.text.split():
        if word[0].isupper():
            start = example.text.index(word, entities[-1].end if entities else 0)
            entities.append(PredictedEntity(start, start + len(word), "NAME", word, 0.5))
    return EntityPrediction(example.id, tuple(entities))


@pytest.fixture
def predict(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """A function that runs the verb on a file with a model that calls everything in capitals a name."""
    model = SimpleNamespace(
        task=NamedEntityRecognition(EntitySettings()), predict=lambda examples: map(names_in, examples)
    )
    monkeypatch.setattr(spanbert.loading, "load", lambda *_, **__: SimpleNamespace(predictor=model))

    def predict_(name: str, content: str, **options: Any) -> tuple[int, str]:
        path = tmp_path / name
        path.write_bytes(content.encode())
        status = run(PredictConfig(model="model", file=str(path), format="text", quiet=True, **options))
        return status, capfdbinary.readouterr().out.decode()

    return predict_


def test_lines_go_into_a_pipe_without_colours_and_to_a_terminal_with_them(
    predict: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    records = [
        {"id": "a\nb", "text": "Ada met Bo."},
        {"txt": "?"},
        {"text": "no\u202fone \x1b[31m 👩\u200d🚀 e\u0301\r\n\n小明"},
    ]
    content = "".join(json.dumps(record) + "\n" for record in records)
    plain = (
        "a b: 2 entities: 2 NAME\n"
        "  [Ada NAME 50 %] met [Bo. NAME 50 %]\n"
        "\n"
        "line 2: error: the key 'text' is missing\n"
        "\n"
        "3: no entities\n"
        "  no\u202fone ␛[31m 👩\u200d🚀 e\u0301\n"
        "\n"
        "  小明\n"
    )
    assert predict("records.jsonl", content) == (1, plain)
    # What rich takes for a terminal; a file named with --output is none all the same.
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    status, coloured = predict("records.jsonl", content)
    assert status == 1
    assert "\x1b[34mAda\x1b[0m" in coloured
    assert "\x1b[31m " not in coloured
    assert predict("records.jsonl", content, output=tmp_path / "out.txt") == (1, "")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == plain


def test_each_line_of_plain_text_or_the_whole_file_is_a_block(predict: Callable[..., tuple[int, str]]) -> None:
    story = "Ada\n\nmet Bo\n"
    assert predict("story.txt", story) == (
        0,
        "1: 1 entity: 1 NAME\n  [Ada NAME 50 %]\n\n3: 1 entity: 1 NAME\n  met [Bo NAME 50 %]\n",
    )
    assert predict("story.txt", story, document="file") == (
        0,
        "1: 2 entities: 2 NAME\n  [Ada NAME 50 %]\n\n  met [Bo NAME 50 %]\n",
    )
