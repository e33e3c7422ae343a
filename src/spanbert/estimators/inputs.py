"""X and y as lists of plain Python values, whatever holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spanbert.errors import InputError


def rows_of(values: Any, *, name: str = "X") -> list[Any]:
    """The rows of a list, a tuple, a Series, an array or a DataFrame; those of a DataFrame are dicts by column.

    Arrays and numbers of numpy become Python's, and missing values of a DataFrame None.

    Raises:
        InputError: it is one row instead of several, or nothing that has rows.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InputError(f"{name} must hold several rows (a list, a Series, a DataFrame), not {type(values).__name__}")
    if hasattr(values, "columns") and hasattr(values, "to_dict"):
        records = values.to_dict("records")
        return [{str(key): _none_if_missing(plain(value)) for key, value in record.items()} for record in records]
    return [plain(value) for value in values]


def plain(value: Any) -> Any:
    """A value with numpy's arrays as lists and numpy's scalars as Python's, inside lists, tuples and dicts too."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def is_missing(value: Any) -> bool:
    """Whether a value is None or what pandas has in its place."""
    return value is None or (isinstance(value, float) and np.isnan(value)) or type(value).__name__ == "NAType"


def _none_if_missing(value: Any) -> Any:
    return None if is_missing(value) else value


def ragged(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """Values of any kind as an array of one axis, which `cross_val_predict` can join and index."""
    array = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        array[number] = value
    return array
