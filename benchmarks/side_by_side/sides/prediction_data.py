"""What both sides of a prediction row are given: a model with random but trained-a-little weights, and texts."""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

MAX_LENGTH = 384
_STEPS = 30
_NUM_PROVEN = 24

Record = dict[str, str]
"""`text`; or `question` and `context`."""


def shared_model(settings: dict[str, Any]) -> str:
    """The folder of a model of the task, fine-tuned for a few steps on the sample corpus; the first side makes it."""
    folder = Path(settings["model"])
    if not (folder / "config.json").exists():
        sample = _sample(settings)
        files = ["--train", str(sample / "train.jsonl"), "--dev", str(sample / "dev.jsonl")]
        options = ["--steps", str(_STEPS), "--learning-rate", "1e-4", "--output", str(folder)]
        command = ["finetune", settings["task"], "--model", settings["base"], *files, *options]
        subprocess.run([sys.executable, "-m", "spanbert", *command], stdout=subprocess.DEVNULL, check=True)
    return str(folder)


def records(settings: dict[str, Any]) -> list[Record]:
    """Texts of mixed lengths that fit one window each: plain `transformers` leaves out the rest of longer ones."""
    tokenizer = AutoTokenizer.from_pretrained(shared_model(settings))
    sources = [Path(file) for file in settings["sources"]]
    found = _FROM_FILES[settings["task"]](*sources) if sources else _from_sample(settings)
    kept = [one for one in found if len(tokenizer(*one.values())["input_ids"]) <= MAX_LENGTH]
    return kept[: settings["texts"]]


def proven(settings: dict[str, Any]) -> list[Record]:
    """Those whose scores are compared."""
    return records(settings)[:_NUM_PROVEN]


def _sample(settings: dict[str, Any]) -> Path:
    folder = Path(f"{settings['model']}-data")
    if not folder.exists():
        command = ["sample", str(folder), "--task", settings["task"]]
        subprocess.run([sys.executable, "-m", "spanbert", *command], stdout=subprocess.DEVNULL, check=True)
    return folder


def _from_sample(settings: dict[str, Any]) -> list[Record]:
    lines = [json.loads(line) for name in ("dev", "train") for line in _open(_sample(settings) / f"{name}.jsonl")]
    keys = ("question", "context") if settings["task"] == "question-answering" else ("text",)
    return [{key: line[key] for key in keys} for line in lines]


def _questions(file: Path) -> list[Record]:
    """SQuAD's development set: five questions of every third paragraph."""
    articles = json.loads("".join(_open(file)))["data"]
    return [
        {"question": question["question"], "context": paragraph["context"]}
        for article in articles
        for paragraph in article["paragraphs"][::3]
        for question in paragraph["qas"][:5]
    ]


def _posts(file: Path) -> list[Record]:
    """WNUT 2017's test set, one to eight posts a text."""
    posts: list[list[str]] = [[]]
    for line in _open(file):
        if line.strip():
            posts[-1].append(line.split("\t")[0])
        elif posts[-1]:
            posts.append([])
    numbers = random.Random(0)
    texts, start = [], 0
    while start < len(posts):
        end = start + numbers.choice((1, 1, 1, 2, 4, 8))
        texts.append({"text": " ".join(word for post in posts[start:end] for word in post)})
        start = end
    return [record for record in texts if record["text"]]


def _reviews(sst2: Path, reviews: Path) -> list[Record]:
    """Sentences of SST-2 and beginnings of film reviews, 10 to 210 words, in turn."""
    sentences = [row[0] for row in csv.reader(_open(sst2), "excel-tab", quoting=3)]
    films = (json.loads(line)["text"].split() for line in _open(reviews))
    numbers = random.Random(0)
    texts = []
    for sentence, words in zip(sentences, films, strict=False):
        texts += [{"text": sentence}, {"text": " ".join(words[: int(10 * 2 ** numbers.uniform(0, 4.4))])}]
    return texts


_FROM_FILES: dict[str, Callable[..., list[Record]]] = {
    "question-answering": _questions,
    "ner": _posts,
    "classification": _reviews,
}


def _open(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from file
