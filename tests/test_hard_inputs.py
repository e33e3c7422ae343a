"""Text as it comes: every task answers it or says why not, and nothing is lost or shifted by a character."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from spanbert.golden import GOLDEN_FILE, make_golden
from spanbert.predict import PredictConfig, run
from spanbert.predicting import Predictor
from spanbert.task import examples_of
from spanbert.task_checkpoints import new_task_model, save_task_model
from spanbert.tasks import TASKS, find_task

HARD = {
    "emoji": "Anna 👩‍👩‍👧 met 🇫🇷 Paul 🏳️‍🌈 in 𝕺slo 𠮷野家",
    "combining": "Ame\u0301lie a\u0308\u0323 n\u0303 met Zoe\u0308 in Orle\u0301ans, e\u0301",
    "null bytes": "Anna\0 met\0\0 Paul \x01\x1f in Oslo\0",
    "line ends": "Anna met\r\nPaul\rin\n\n\tOslo\r\n",
    "byte order mark": "\ufeffAnna met\ufeff Paul in Oslo",
    "separators": "Anna\u2028met\u2029Paul\x85in\x0cOslo\u00a0and\u3000Bonn",
    "one character": "A",
    "one ideograph": "漢",
    "one emoji": "🚀",
    "special pieces": "[CLS] Anna [SEP] met [MASK] Paul [PAD] in ##Oslo [UNK]",
    "zero width": "A\u200bn\u200cn\u200da met P\u00adaul",
    "right to left": "\u202eanna met \u05d0\u05e0\u05d4 in \u0627\u0648\u0633\u0644\u0648\u202c",
    "long word": "Anna" + "x" * 3000 + " met Paul",
    "unknown": "ꙮ ᚠᚢᚦ 𓀀 Anna",
    "Chinese": "安娜在北京見了保羅。他們去了上海，很高興！",
    "quotes": 'Anna said: "Paul\\n" \\ and {"text": 1}',
}
EMPTY = {"nothing": "", "white space": " \t\u3000\n", "only dropped": "\0\0\u200b\ufeff"}


def record(task: str, text: str) -> dict[str, Any]:
    """An input of a task about a text."""
    if task == "question-answering":
        return {"question": "Who met Paul?", "context": text}
    if task == "relations":
        whole = f"Bob {text} Kiel"
        ends = {"start": len(whole) - 4, "end": len(whole), "type": "PLACE"}
        return {"text": whole, "head": {"start": 0, "end": 3, "type": "PERSON"}, "tail": ends}
    return {"text": text}


def spans_of(task: str, prediction: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Everything in a prediction that points into the text."""
    if task == "question-answering":
        yield from prediction["answers"]
    elif task == "ner":
        yield from prediction["entities"]
    elif task == "coreference":
        for cluster in prediction["clusters"]:
            yield from cluster
    elif task == "relations":
        for relation in prediction["relations"]:
            yield relation["head"]
            yield relation["tail"]


@pytest.fixture(scope="module")
def folder_of(
    encoder_folder: Path, task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A function that gives the folder of a model of random weights for a task."""
    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        task_class = find_task(name)
        task = task_class(task_class.settings_class(max_length=128, stride=32))
        located, _ = examples_of(task.read(task_files(name) / "train.jsonl", task.settings))
        task = task.learn([one.example for one in located])
        model, tokenizer, _ = new_task_model(task, encoder_folder)
        torch.manual_seed(2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        golden = make_golden(Predictor(model, task, tokenizer, device="cpu", precision="fp32"), task.golden_examples())
        folder = tmp_path_factory.mktemp("models") / name
        save_task_model(model, task, tokenizer, folder, extra_files={GOLDEN_FILE: golden})
        return folder

    def folder(name: str) -> Path:
        if name not in folders:
            folders[name] = make(name)
        return folders[name]

    return folder


@pytest.fixture
def predict(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[dict[str, Any]]]:
    """A function that runs the verb and gives the output's records."""
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))

    def predict_(name: str, content: bytes, file: str = "input.jsonl", **options: Any) -> list[dict[str, Any]]:
        path, output = tmp_path / file, tmp_path / "output.jsonl"
        path.write_bytes(content)
        fixed: dict[str, Any] = {"device": "cpu", "precision": "fp32", "quiet": True, "output": output}
        status = run(PredictConfig(model=str(folder_of(name)), file=str(path), **fixed, **options))
        records = [json.loads(line) for line in output.read_text(encoding="utf-8").split("\n")[:-1]]
        assert status == any("error" in one for one in records)
        return records

    return predict_


@pytest.mark.parametrize("name", TASKS)
def test_hard_text_is_answered_to_the_character(name: str, predict: Callable[..., list[dict[str, Any]]]) -> None:
    inputs = [record(name, text) for text in HARD.values()]
    answers = predict(name, b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(one).encode() for one in inputs))
    assert [answer["line"] for answer in answers] == list(range(1, len(inputs) + 1))
    num_spans = 0
    for kind, asked, answer in zip(HARD, inputs, answers, strict=True):
        assert "error" not in answer, (kind, answer)
        text = asked.get("context", asked.get("text"))
        for span in spans_of(name, answer):
            num_spans += 1
            assert text[span["start"] : span["end"]] == span["text"] != "", (kind, span)
    assert num_spans or name == "classification"


@pytest.mark.parametrize("name", TASKS)
def test_no_text_gets_an_answer_or_an_error_with_its_line(
    name: str, predict: Callable[..., list[dict[str, Any]]]
) -> None:
    inputs = [record(name, text) for text in EMPTY.values()]
    answers = predict(name, b"\n".join(json.dumps(one).encode() for one in inputs))
    assert [answer["line"] for answer in answers] == [1, 2, 3]
    for answer in answers:
        if "error" not in answer and name in {"ner", "question-answering"}:
            assert not answer.get("entities", answer.get("text"))


@pytest.mark.parametrize("name", TASKS)
def test_records_of_another_task_or_of_none_are_errors(name: str, predict: Callable[..., list[dict[str, Any]]]) -> None:
    wrong: list[Any] = [{}, {"texts": "x"}, {"text": 1, "context": None}, {"text": None, "question": ["x"]}, 1, None]
    wrong.append({"id": [1], **record(name, "Anna")})
    half = json.dumps(record(name, "Anna \ud83d met"))
    answers = predict(name, "\n".join([*map(json.dumps, wrong), half]).encode())
    assert [answer["line"] for answer in answers] == list(range(1, len(wrong) + 2))
    assert all(answer["error"] for answer in answers)
    (answer,) = predict(name, json.dumps({"id": None, **record(name, "Anna")}).encode())
    assert (answer["id"], "error" in answer) == ("1", False)
    for other in set(TASKS) - {name}:
        asked = record(other, "Anna met Paul")
        (answer,) = predict(name, json.dumps(asked).encode())
        fits = name in {"ner", "coreference", "classification"} and "text" in asked
        assert ("error" in answer) != fits, (other, answer)


@pytest.mark.parametrize(
    ("name", "megabytes"), [("question-answering", 5), ("ner", 0.5), ("classification", 0.5), ("coreference", 0.2)]
)
def test_a_document_of_megabytes_is_read_whole(
    name: str, megabytes: float, predict: Callable[..., list[dict[str, Any]]]
) -> None:
    sentence = "Anna met Paul. 安娜 " + "👩‍🚀" * 9 + "\r\n"  # many bytes of few pieces, for the sake of time
    text = sentence * round(megabytes * 1_000_000 / len(sentence.encode()))
    asks = {"question": ("Who met Paul?",)} if name == "question-answering" else {}
    (answer,) = predict(name, text.encode(), "long.txt", document="file", **asks)
    for span in spans_of(name, answer):
        assert text[span["start"] : span["end"]] == span["text"]
    if name == "ner":
        assert answer["entities"][-1]["end"] > len(text) - 100
