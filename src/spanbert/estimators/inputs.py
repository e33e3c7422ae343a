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


def indicator_columns(y: Any) -> list[Any] | None:
    """The labels of a 0/1 matrix [texts, labels]: a DataFrame's columns, or their numbers; None for anything else.

    A matrix is a two-dimensional array, DataFrame or sparse matrix of numbers or truth values; a list of lists is not.
    """
    if getattr(y, "ndim", 1) != 2:
        return None
    if hasattr(y, "columns"):
        kinds = [getattr(dtype, "kind", "O") for dtype in y.dtypes]
        return y.columns.tolist() if kinds and all(kind in "biuf" for kind in kinds) else None
    return list(range(y.shape[1])) if y.dtype.kind in "biuf" else None


def indicated_labels(y: Any, columns: Sequence[Any]) -> list[list[Any]]:
    """The labels of each row of a 0/1 matrix.

    Raises:
        InputError: it holds something else than 0 and 1.
    """
    values = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    if not np.isin(values, (0, 1)).all():
        raise InputError("y is a matrix of numbers: it must hold 0 and 1 only, a column for each label")
    return [[columns[number] for number in np.flatnonzero(row).tolist()] for row in values]


def ragged(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """Values of any kind as an array of one axis, which `cross_val_predict` can join and index."""
    array = np.empty(len(values), dtype=object)
    for number, value in enumerate(values):
        array[number] = value
    return array
