"""Prediction of documents that are taken one by one and whose predictions are not kept, as `spanbert predict` does.

Settings: `task`, `model` and `base` as for the other rows of prediction; `sources` of text.words; `documents`, and the
`words` of each; `batch_pieces`, None for the default. Units are words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from side_by_side.sides.prediction_data import shared_model
from side_by_side.sides.text import words
from side_by_side.worker import Job, serve
from spanbert import loading

_DIFFERENT_WORDS = 200_000


def load(settings: dict[str, Any]) -> Job:
    """The model, and text; each document begins where the one before it ended."""
    model = loading.load(
        shared_model(settings),
        device="cpu",
        threads=settings["threads"],
        batch_pieces=settings["batch_pieces"],
        golden="skip",
    )
    text, length = words(settings["sources"], _DIFFERENT_WORDS), settings["words"]

    def examples() -> Iterator[Any]:
        for number in range(settings["documents"]):
            start = number * length % (len(text) - length)
            yield model.task.example({"id": str(number), "text": " ".join(text[start : start + length])})

    def run() -> float:
        for _ in model.predictor.predict(examples()):
            pass
        return float(settings["documents"] * length)

    return Job(run)


if __name__ == "__main__":
    serve(load)
