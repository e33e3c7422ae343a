"""The yardstick's tasks: reading, features and decoding as in the examples of `transformers`, in plain code.

Nothing of `spanbert` is used here: what both sides of the comparison share are the weights, the files and the scorer.
"""

from __future__ import annotations

import gzip
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import transformers

Features = list[dict[str, Any]]
"""For each window what the tokenizer gives, plain lists, with the targets in training."""
Logits = list[tuple[np.ndarray, ...]]
"""For each window its rows of every output of the model."""


def read_text(path: Path) -> str:
    """The text of a file, plain or .gz."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


class YardstickTask(ABC):
    """One of the examples: what it reads, which class it trains, and how it turns logits into answers."""

    model_class: ClassVar[str]
    max_length: ClassVar[int] = 128
    collator: ClassVar[str] = "DataCollatorWithPadding"
    added_pieces: ClassVar[tuple[str, ...]] = ()

    def __init__(self, train: Path, test: Path, train_limit: int | None, test_limit: int | None) -> None:
        self.train = self.read(train)[:train_limit]
        self.test = self.read(test)[:test_limit]

    @abstractmethod
    def read(self, path: Path) -> list[Any]:
        """The examples of a file."""

    @property
    def num_labels(self) -> int:
        """Width of the head."""
        return 2

    @abstractmethod
    def features(self, tokenizer: Any, examples: Sequence[Any], padding: str | bool, *, training: bool) -> Features:
        """The windows of all examples."""

    @abstractmethod
    def answers(self, examples: Sequence[Any], features: Features, logits: Logits) -> list[Any]:
        """An answer for every example."""


class QuestionAnswering(YardstickTask):
    """`run_qa`: SQuAD 1.1 and 2.0; answers are texts, "" for none."""

    model_class = "AutoModelForQuestionAnswering"
    max_length = 384
    stride = 128
    n_best = 20
    max_answer_length = 30

    def read(self, path: Path) -> list[Any]:
        """Questions with their paragraph and answers."""
        return [
            {"question": question["question"].lstrip(), "context": paragraph["context"], "answers": question["answers"]}
            for article in json.loads(read_text(path))["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]

    def features(self, tokenizer: Any, examples: Sequence[Any], padding: str | bool, *, training: bool) -> Features:
        """Windows by doc stride; an answer outside of a window is its [CLS]."""
        encoded = tokenizer(
            [example["question"] for example in examples],
            [example["context"] for example in examples],
            truncation="only_second",
            max_length=self.max_length,
            stride=self.stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=padding,
        )
        features: Features = []
        for number, example_index in enumerate(encoded["overflow_to_sample_mapping"]):
            sequence_ids = encoded.sequence_ids(number)
            offsets = encoded["offset_mapping"][number]
            feature = {key: encoded[key][number] for key in tokenizer.model_input_names}
            if training:
                answers = examples[example_index]["answers"]
                start, end = self._target(answers, sequence_ids, offsets)
                feature |= {"start_positions": start, "end_positions": end}
            else:
                feature["offsets"] = [o if s == 1 else None for o, s in zip(offsets, sequence_ids, strict=True)]
                feature["example"] = example_index
            features.append(feature)
        return features

    @staticmethod
    def _target(answers: list[Any], sequence_ids: list[int | None], offsets: list[tuple[int, int]]) -> tuple[int, int]:
        if not answers:
            return 0, 0
        start_char = answers[0]["answer_start"]
        end_char = start_char + len(answers[0]["text"])
        start = sequence_ids.index(1)
        end = len(sequence_ids) - 1 - sequence_ids[::-1].index(1)
        if not (offsets[start][0] <= start_char and offsets[end][1] >= end_char):
            return 0, 0
        while start < len(offsets) and offsets[start][0] <= start_char:
            start += 1
        while offsets[end][1] >= end_char:
            end -= 1
        return start - 1, end + 1

    def answers(self, examples: Sequence[Any], features: Features, logits: Logits) -> list[Any]:
        """The best of the n-best spans of all windows; no answer where [CLS] is better and training had such."""
        null_possible = any(not example["answers"] for example in self.train)
        best: list[tuple[float, str]] = [(-np.inf, "")] * len(examples)
        null: list[float] = [np.inf] * len(examples)
        for feature, (start_logits, end_logits) in zip(features, logits, strict=True):
            index, offsets = feature["example"], feature["offsets"]
            null[index] = min(null[index], float(start_logits[0] + end_logits[0]))
            ends = np.argsort(end_logits)[: -self.n_best - 1 : -1].tolist()
            for start in np.argsort(start_logits)[: -self.n_best - 1 : -1].tolist():
                for end in ends:
                    if end < start or end - start + 1 > self.max_answer_length:
                        continue
                    if end >= len(offsets) or offsets[start] is None or offsets[end] is None:
                        continue
                    score = float(start_logits[start] + end_logits[end])
                    if score > best[index][0]:
                        best[index] = score, examples[index]["context"][offsets[start][0] : offsets[end][1]]
        return ["" if null_possible and n > score else text for (score, text), n in zip(best, null, strict=True)]


class EntityRecognition(YardstickTask):
    """`run_ner`: CoNLL columns, word first and tag last; answers are a tag for every word."""

    model_class = "AutoModelForTokenClassification"
    collator = "DataCollatorForTokenClassification"

    def __init__(self, *files: Any) -> None:
        super().__init__(*files)
        self.tags = sorted({tag for sentence in self.train for _, tag in sentence})

    def read(self, path: Path) -> list[Any]:
        """Sentences of (word, tag)."""
        sentences: list[list[tuple[str, str]]] = [[]]
        for line in read_text(path).split("\n"):
            columns = line.split()
            if columns and columns[0] != "-DOCSTART-":
                sentences[-1].append((columns[0], columns[-1]))
            elif sentences[-1]:
                sentences.append([])
        return [sentence for sentence in sentences if sentence]

    @property
    def num_labels(self) -> int:
        """Tags of the training data."""
        return len(self.tags)

    def features(self, tokenizer: Any, examples: Sequence[Any], padding: str | bool, *, training: bool) -> Features:
        """One window a sentence, cut at the maximal length; the first piece of a word has its tag."""
        encoded = tokenizer(
            [[word for word, _ in sentence] for sentence in examples],
            is_split_into_words=True,
            truncation=True,
            max_length=self.max_length,
            padding=padding,
        )
        number_of = {tag: number for number, tag in enumerate(self.tags)}
        features: Features = []
        for number, sentence in enumerate(examples):
            feature = {key: encoded[key][number] for key in tokenizer.model_input_names}
            words = encoded.word_ids(number)
            if training:
                first = [w is not None and w != v for v, w in zip([None, *words], words, strict=False)]
                feature["labels"] = [
                    number_of[sentence[w][1]] if is_first else -100 for w, is_first in zip(words, first, strict=True)
                ]
            else:
                feature["words"] = words
            features.append(feature)
        return features

    def answers(self, examples: Sequence[Any], features: Features, logits: Logits) -> list[Any]:
        """The tag of each word's first piece; O for words that were cut off."""
        answers = []
        for sentence, feature, (scores,) in zip(examples, features, logits, strict=True):
            tags = ["O"] * len(sentence)
            best = scores.argmax(-1)
            for place in reversed(range(len(feature["words"]))):
                if feature["words"][place] is not None:
                    tags[feature["words"][place]] = self.tags[best[place]]
            answers.append(tags)
        return answers


class Classification(YardstickTask):
    """`run_glue`: text, tab, label; answers are labels."""

    model_class = "AutoModelForSequenceClassification"

    def __init__(self, *files: Any) -> None:
        super().__init__(*files)
        self.labels = sorted({label for _, label in self.train})

    def read(self, path: Path) -> list[Any]:
        """(text, label) of each line."""
        return [tuple(line.rsplit("\t", 1)) for line in read_text(path).splitlines() if line.strip()]

    @property
    def num_labels(self) -> int:
        """Labels of the training data."""
        return len(self.labels)

    def features(self, tokenizer: Any, examples: Sequence[Any], padding: str | bool, *, training: bool) -> Features:
        """One window a text, cut at the maximal length."""
        encoded = tokenizer(
            [text for text, _ in examples], truncation=True, max_length=self.max_length, padding=padding
        )
        features: Features = []
        for number, (_, label) in enumerate(examples):
            feature = {key: encoded[key][number] for key in tokenizer.model_input_names}
            if training:
                feature["labels"] = self.labels.index(label)
            features.append(feature)
        return features

    def answers(self, examples: Sequence[Any], features: Features, logits: Logits) -> list[Any]:
        """The label of the highest logit."""
        return [self.labels[int(scores.argmax())] for (scores,) in logits]


class Relations(Classification):
    """SemEval-2010 task 8 as text classification, the file's own <e1>...</e1> <e2>...</e2> as added pieces."""

    added_pieces = ("<e1>", "</e1>", "<e2>", "</e2>")

    def read(self, path: Path) -> list[Any]:
        """(sentence with markers, relation with its direction)."""
        pairs = re.findall(r'^\d+\t"(.*)"\s*?\n(\S+)\s*$', read_text(path), flags=re.MULTILINE)
        return [(sentence, relation) for sentence, relation in pairs]


TASKS: dict[str, type[YardstickTask]] = {
    "question-answering": QuestionAnswering,
    "ner": EntityRecognition,
    "classification": Classification,
    "relations": Relations,
}


def load_class(name: str) -> Any:
    """A class of `transformers` by its name."""
    return getattr(transformers, name)
