"""Prediction of questions, entities and labels against `transformers`, at its defaults and at its best."""

from __future__ import annotations

from side_by_side.comparison import Aim, Comparison, Options, Side, speed_ratio

_TASKS = {"question-answering": "questions", "ner": "texts", "classification": "texts"}
_FILES = {
    "question-answering": ("qa/squad/dev-v1.1.json.gz",),
    "ner": ("ner/wnut17/emerging.test.annotated",),
    "classification": ("classification/sst2/dev.tsv", "long_documents/movie_reviews/all.jsonl.gz"),
}
_TIMES_DEFAULT = 6.0
_TIMES_BEST = 1.5
_EVERY = 4
_BATCH_SIZE = 16


def comparisons(options: Options) -> list[Comparison]:
    """A row for each task, on a CPU."""
    return [] if options.device == "cuda" else [_comparison(task, options) for task in _TASKS]


def _comparison(task: str, options: Options) -> Comparison:
    shared = {
        "task": task,
        "base": str(options.model),
        "model": str(options.scratch / f"prediction-model-{task}"),
        "sources": options.files(*_FILES[task]),
        "texts": 600,
    }
    default = "a loop over questions" if task == "question-answering" else "its pipeline"
    peer = "prediction_transformers"
    sides = (
        Side("ours", "spanbert, its defaults", "prediction_spanbert", shared, proves=True),
        Side(
            "best",
            f"transformers, bf16 weights, sorted batches of {_BATCH_SIZE}",
            peer,
            shared | {"how": "best", "batch_size": _BATCH_SIZE},
            proves=True,
        ),
        Side(
            "default",
            f"transformers, {default}, fp32, one at a time",
            peer,
            shared | {"how": "default", "every": _EVERY},
        ),
    )
    source = "the sample corpus" if options.data is None else "real data (see the top of the page)"
    return Comparison(
        name=f"prediction-{task}",
        title=f"Prediction, {task}",
        does=(
            f"Up to {shared['texts']} {_TASKS[task]} of mixed lengths, none longer than one window of 384 pieces, from "
            f"{source}; records in memory to predictions, tokenising and decoding included. The encoder is that of "
            "--model, the same weights for all; ours is `spanbert.load(...).predict([...])`. The peer's best: all "
            "texts tokenised at once, sorted by length, padded to the longest of a batch, fused attention, inference "
            f"mode. The slow side answers every {_EVERY}th"
        ),
        unit=_TASKS[task],
        sides=sides,
        aims=(
            Aim("speed, the peer's defaults", speed_ratio("ours", "default"), least=_TIMES_DEFAULT),
            Aim("speed, the peer's best settings", speed_ratio("ours", "best"), least=_TIMES_BEST),
        ),
        tolerance=1e-4,
        proof="scores of 24 texts in fp32 (those of the words' first pieces for entities)",
        rounds=5,
    )
