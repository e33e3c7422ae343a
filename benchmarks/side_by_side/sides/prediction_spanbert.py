"""Our prediction: `spanbert.load(...).predict(records)` with its defaults, from records in memory to predictions."""

from __future__ import annotations

from typing import Any

from side_by_side.sides.prediction_data import proven, records, shared_model
from side_by_side.worker import Job, serve
from spanbert import loading


def load(settings: dict[str, Any]) -> Job:
    """The model, and all texts in one call."""
    folder = shared_model(settings)
    options = {"threads": settings["threads"], "golden": "skip"}
    model = loading.load(folder, device="cpu", **options)
    texts = records(settings)

    def prove() -> list[float]:
        exact = loading.load(folder, device="cpu", precision="fp32", **options)
        examples = [exact.task.example({"id": str(number), **one}) for number, one in enumerate(proven(settings))]
        return [
            float(value)
            for scored in exact.predictor.score(examples)
            for name in sorted(scored.scores[0], reverse=True)  # "start" before "end", as the peer has them
            for value in scored.scores[0][name].ravel()
        ]

    def run() -> float:
        return float(len(model.predict(texts)))

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
