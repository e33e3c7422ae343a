"""The peer's prediction with `transformers`, from records in memory to predictions.

Setting "how": "default" is what the documentation shows: a pipeline called with the list of texts, in fp32, one text at
a time; for questions, which have no pipeline any more, a loop over them. "best" is the fastest way that was found:
weights in bf16, all texts tokenised in one call, sorted by length, batches of `batch_size` padded to their longest,
fused attention, inference mode, and a decoder that looks only at what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from side_by_side.sides.prediction_data import MAX_LENGTH, Record, proven, records, shared_model
from side_by_side.worker import Job, serve

_CLASSES: dict[str, Any] = {
    "question-answering": AutoModelForQuestionAnswering,
    "ner": AutoModelForTokenClassification,
    "classification": AutoModelForSequenceClassification,
}
_PIPELINES = {"ner": "token-classification", "classification": "text-classification"}
_LONGEST_ANSWER = 30
Scores = list[npt.NDArray[np.float32]]


class Loop:
    """A plain loop over sorted batches."""

    def __init__(self, folder: str, task: str, dtype: torch.dtype, batch_size: int) -> None:
        self.model = _CLASSES[task].from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.task = task
        self.batch_size = batch_size

    def predict(self, texts: Sequence[Record]) -> list[Any]:
        """A prediction for each text, in order."""
        encoded = self.encode(texts)
        found: list[Any] = [None] * len(texts)
        for number, scores in self.scores(encoded):
            found[number] = self._decode(scores, encoded.encodings[number], texts[number])
        return found

    def encode(self, texts: Sequence[Record]) -> Any:
        """All texts in one call."""
        columns = [list(column) for column in zip(*(one.values() for one in texts), strict=True)]
        truncation = "only_second" if len(columns) == 2 else True
        return self.tokenizer(*columns, truncation=truncation, max_length=MAX_LENGTH)

    def scores(self, encoded: Any) -> Iterator[tuple[int, Scores]]:
        """The number of a text and its scores, padding cut off, long texts first."""
        lengths = [len(ids) for ids in encoded["input_ids"]]
        order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                inputs = {name: _pad([rows[number] for number in chosen]) for name, rows in encoded.items()}
                output = self.model(**inputs)
                names = ("start_logits", "end_logits") if self.task == "question-answering" else ("logits",)
                arrays = [output[name].float().numpy() for name in names]
                for row, number in enumerate(chosen):
                    per_text = self.task == "classification"
                    yield number, [array[row] if per_text else array[row, : lengths[number]] for array in arrays]

    def _decode(self, scores: Scores, encoding: Any, record: Record) -> Any:
        if self.task == "classification":
            shares = _softmax(scores[0])
            best = int(shares.argmax())
            return {"label": self.model.config.id2label[best], "score": float(shares[best])}
        if self.task == "ner":
            return self._entities(scores[0], encoding, record["text"])
        return _answer(scores[0], scores[1], encoding, record["context"])

    def _entities(self, logits: npt.NDArray[np.float32], encoding: Any, text: str) -> list[dict[str, Any]]:
        """By the tags of the words' first pieces."""
        tags = logits.argmax(1)
        if not tags[1:-1].any():
            return []
        shares = _softmax(logits).max(1)
        words, offsets = encoding.word_ids, encoding.offsets
        entities: list[dict[str, Any]] = []
        inside, last = False, None
        for place in range(1, len(tags) - 1):
            if words[place] == last:
                if inside:
                    entities[-1]["end"] = offsets[place][1]
                continue
            last, name = words[place], self.model.config.id2label[int(tags[place])]
            begin, end = offsets[place]
            if inside and name[0] == "I" and entities[-1]["entity"] == name[2:]:
                entities[-1]["end"] = end
                entities[-1]["score"] *= float(shares[place])
            elif name != "O":
                entities.append({"entity": name[2:], "start": begin, "end": end, "score": float(shares[place])})
            inside = name != "O"
        return [entity | {"word": text[entity["start"] : entity["end"]]} for entity in entities]


def _answer(
    start: npt.NDArray[np.float32], end: npt.NDArray[np.float32], encoding: Any, context: str
) -> dict[str, Any]:
    """The best span of up to 30 pieces of the context, and its probability among all."""
    first = encoding.type_ids.index(1)
    sums = start[first:-1, None] + end[None, first:-1]
    allowed = np.tri(len(sums), k=0, dtype=bool).T & np.tri(len(sums), k=_LONGEST_ANSWER - 1, dtype=bool)
    sums = np.where(allowed, sums, -np.inf)
    best = int(sums.argmax())
    left, right = divmod(best, len(sums))
    begin, stop = encoding.offsets[first + left][0], encoding.offsets[first + right][1]
    share = 1 / np.exp(sums - sums[left, right]).sum()
    return {"answer": context[begin:stop], "start": begin, "end": stop, "score": float(share)}


def _pad(rows: Sequence[Sequence[int]]) -> Tensor:
    padded = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: npt.NDArray[np.float32] = powers / powers.sum(-1, keepdims=True)
    return shares


def _default(folder: str, task: str) -> Callable[[Sequence[Record]], list[Any]]:
    if task in _PIPELINES:
        pipe: Any = pipeline(_PIPELINES[task], model=folder, tokenizer=folder, device="cpu")  # type: ignore[call-overload]
        return lambda texts: list(pipe([one["text"] for one in texts]))
    loop = Loop(folder, task, torch.float32, 1)
    return lambda texts: [loop.predict([one])[0] for one in texts]


def load(settings: dict[str, Any]) -> Job:
    """The model, and all texts in one call."""
    torch.set_num_threads(settings["threads"])
    folder, task = shared_model(settings), settings["task"]
    texts = records(settings)
    if settings["how"] == "default":
        predict, texts = _default(folder, task), texts[:: settings["every"]]
    else:
        predict = Loop(folder, task, torch.bfloat16, settings["batch_size"]).predict

    def prove() -> list[float]:
        loop = Loop(folder, task, torch.float32, 8)
        encoded = loop.encode(proven(settings))
        found = dict(loop.scores(encoded))
        numbers: list[float] = []
        for number in range(len(found)):
            scores = found[number]
            if task == "ner":  # only the words' first pieces have a say
                words = encoded.encodings[number].word_ids
                firsts = [place for place in range(1, len(words) - 1) if words[place] != words[place - 1]]
                scores = [scores[0][firsts]]
            numbers += [float(value) for array in scores for value in array.ravel()]
        return numbers

    def run() -> float:
        return float(len(predict(texts)))

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
