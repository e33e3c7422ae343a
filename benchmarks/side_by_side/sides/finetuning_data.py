"""What all sides of a fine-tuning row are given: the same weights, the same questions, and their order."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoModelForQuestionAnswering, AutoTokenizer, set_seed

from spanbert import randomness

MAX_LENGTH = 384
PROVEN_GRADIENTS = (
    "bert.embeddings.word_embeddings.weight",
    "bert.encoder.layer.0.attention.self.query.weight",
    "bert.encoder.layer.0.output.dense.weight",
    "qa_outputs.weight",
)
"""Parameters whose gradients are compared, by their norms."""


def shared_weights(settings: dict[str, Any]) -> Path:
    """The folder of a BertForQuestionAnswering, its head still random; whichever side comes first makes it."""
    folder = Path(settings["model"])
    if not (folder / "config.json").exists():
        set_seed(0)
        AutoModelForQuestionAnswering.from_pretrained(settings["base"]).save_pretrained(folder)
        AutoTokenizer.from_pretrained(settings["base"]).save_pretrained(folder)
    return folder


def questions(settings: dict[str, Any]) -> Path:
    """A file in SQuAD's format: the questions that fit one window, so that a question is a window on every side."""
    file = Path(f"{settings['model']}.json")
    if not file.exists():
        tokenizer = AutoTokenizer.from_pretrained(shared_weights(settings))
        found = _from_files(settings["sources"]) if settings["sources"] else _from_sample(settings)
        fitting = [one for one in found if len(tokenizer(one["question"], one["context"])["input_ids"]) <= MAX_LENGTH]
        paragraphs = [
            {"context": one["context"], "qas": [{name: one[name] for name in ("id", "question", "answers")}]}
            for one in fitting[: settings["questions"]]
        ]
        file.write_text(json.dumps({"data": [{"title": "all", "paragraphs": paragraphs}]}), encoding="utf-8")
    return file


def order(number: int, num_steps: int, batch_size: int) -> list[int]:
    """Which of `number` questions the first steps see; that of `spanbert finetune --seed 0`."""
    epochs = range(-(-num_steps * batch_size // number))
    chosen = [
        int(place)
        for epoch in epochs
        for place in randomness.permutation(number, seed=0, epoch=epoch, purpose="order of examples")
    ]
    return chosen[: num_steps * batch_size]


def proven(lengths: Sequence[int], most: int) -> list[int]:
    """The first windows of the length that most windows have: without padding, because the loss of `transformers` takes
    padded places for possible answers, and ours does not."""
    ((length, _),) = Counter(lengths).most_common(1)
    return [number for number, one in enumerate(lengths) if one == length][:most]


def _from_files(sources: Sequence[str]) -> list[dict[str, Any]]:
    """Questions in SQuAD's JSON."""
    return [
        question | {"context": paragraph["context"]}
        for source in sources
        for article in json.loads(gzip.decompress(Path(source).read_bytes()))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def _from_sample(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The questions of the sample corpus that have an answer."""
    folder = Path(f"{settings['model']}-data")
    command = ["sample", str(folder), "--task", "question-answering"]
    subprocess.run([sys.executable, "-m", "spanbert", *command], stdout=subprocess.DEVNULL, check=True)
    records = [
        json.loads(line)
        for name in ("train", "dev")
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [
        record | {"answers": [{"text": one["text"], "answer_start": one["start"]} for one in record["answers"]]}
        for record in records
        if record["answers"]
    ]
