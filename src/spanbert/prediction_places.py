"""Which example a prediction of a file belongs to, by its id; the same for the files of all tasks."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from spanbert.task import Problem


class PredictionPlaces:
    """Hands out the places of examples, in order, to predictions with their ids.

    Where several examples have one id, the first prediction with it is for the first of them, and so on: as
    `spanbert predict` writes them.

    Args:
        ids: of all examples, in order.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._places: dict[str, deque[int]] = defaultdict(deque)
        for place, id in enumerate(ids):
            self._places[id].append(place)

    def first(self, id: str) -> int | None:
        """The place that `take` would give, which stays free; None where it would give a problem."""
        places = self._places.get(id)
        return places[0] if places else None

    def take(self, id: str, line: int) -> int | Problem:
        """The example's place; or what is wrong with the prediction in `line`."""
        places = self._places.get(id)
        if places is None:
            return Problem(line, "unknown id", f"no example has the id {id!r}")
        if not places:
            return Problem(line, "duplicate id", f"another prediction for {id!r}; the first one counts")
        return places.popleft()


def error_record(record: Mapping[str, Any], line: int) -> Problem | None:
    """What to say of a line that `spanbert predict` wrote for a record that it could not answer; None for others.

    Such a line has the key "error" and, unlike a prediction, nothing but the record's "line" and "id" beside it.
    """
    if "error" not in record or record.keys() - {"error", "line", "id"}:
        return None
    name = f"{record['id']!r}: " if "id" in record else ""
    return Problem(line, "error record", f"{name}{record['error']}; it counts as no prediction")
