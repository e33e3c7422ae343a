"""Estimators for texts and pairs of texts: one label, several labels, or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from spanbert.errors import InputError
from spanbert.estimators.base import TaskEstimator
from spanbert.estimators.inputs import indicated_labels, indicator_columns, is_missing, ragged


class _TextEstimator(TaskEstimator):
    """Reads X: texts, pairs of texts, a Series, or a DataFrame with the column "text" and, for pairs, "pair"."""

    _task_name = "classification"

    def _record(self, row: Any) -> dict[str, Any]:
        if isinstance(row, Mapping):
            if "text" not in row and len(row) != 1:
                raise InputError(f'there is no column "text", only {", ".join(map(repr, row)) or "none"}')
            return {"text": row.get("text", next(iter(row.values()))), "pair": row.get("pair")}
        if not isinstance(row, list):
            return {"text": row}
        if not 1 <= len(row) <= 2:
            raise InputError(f"a row is a text or a pair of texts, not {len(row)} values")
        return {"text": row[0], "pair": row[1] if len(row) == 2 else None}

    def _probabilities(self, X: Any, classes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:  # noqa: N803
        """float64 [texts, classes]."""
        names = [str(label) for label in classes.tolist()]
        predicted = [dict(prediction.probabilities) for prediction in self.predictions(X)]
        return np.array([[one.get(name, 0.0) for name in names] for one in predicted]).reshape(-1, len(names))


class TextClassifier(ClassifierMixin, _TextEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Gives each text, or pair of texts, one label.

    Args: see `TaskEstimator`.

    X holds texts, pairs of texts, or the columns "text" and "pair" of a DataFrame; y holds strings, whole numbers or
    booleans. `score` is the accuracy.

    Attributes:
        classes_: the labels, sorted.

    Example:
        >>> classifier = TextClassifier("bert-base-uncased", epochs=3).fit(["Superb.", "Dull.", ...], ["+", "-", ...])
        >>> classifier.predict(["A superb film."])
        array(['+'], dtype='<U1')
    """

    _settings = {"kind": "single-label"}  # noqa: RUF012  # read-only, as the base class says
    classes_: npt.NDArray[Any]

    def _begin(self, rows: Sequence[Any], targets: Sequence[Any]) -> None:
        check_classification_targets(targets)
        self.classes_ = np.unique(targets)

    def _answer(self, record: Mapping[str, Any], target: Any) -> dict[str, Any]:
        return {"label": _label(target)}

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """[texts] labels, of the kind that y had."""
        predictions = self.predictions(X)
        number = {str(label): number for number, label in enumerate(self.classes_.tolist())}
        return self.classes_[[number[prediction.label] for prediction in predictions]]

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """float64 [texts, classes] probabilities, in the order of `classes_`."""
        return self._probabilities(X, self.classes_)


class MultiLabelTextClassifier(_TextEstimator):
    """Gives each text, or pair of texts, any number of labels.

    Args: see `TaskEstimator`.

    X is as for `TextClassifier`; y holds a list (tuple, set) of labels for each text, or is a matrix [texts, labels] of
    0 and 1, as of `MultiLabelBinarizer` (an array, a DataFrame, a sparse matrix): its labels are the numbers of the
    columns, or the DataFrame's names of them. `predict` answers in the form of y. Lists are no targets of a
    `ClassifierMixin`: scikit-learn splits them without stratification, and its own scorers read matrices only. `score`
    is the micro-averaged F1, from 0 to 1.

    Attributes:
        classes_: the labels, sorted; of a matrix, all columns in their order, also those that no text has.
    """

    _settings = {"kind": "multi-label"}  # noqa: RUF012
    classes_: npt.NDArray[Any]

    def fit(self, X: Any, y: Any, *, dev: tuple[Any, Any] | None = None) -> Self:  # noqa: N803
        """Fine-tune the model; see `TaskEstimator.fit`."""
        self._columns = indicator_columns(y)
        return super().fit(X, y, dev=dev)

    def _targets(self, y: Any) -> list[Any]:
        columns = indicator_columns(y)
        return super()._targets(y) if columns is None else indicated_labels(y, columns)

    def _begin(self, rows: Sequence[Any], targets: Sequence[Any]) -> None:
        if self._columns is None:
            self.classes_ = np.unique([label for target in targets for label in _several(target)])
        else:
            self.classes_ = np.array(self._columns)

    def _answer(self, record: Mapping[str, Any], target: Any) -> dict[str, Any]:
        return {"label": [_label(label) for label in _several(target)]}

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """[texts] lists of labels, the most probable first; or int64 [texts, classes] of 0 and 1, where y was such."""
        predictions = self.predictions(X)
        if self._columns is not None:
            names = [str(label) for label in self.classes_.tolist()]
            return np.array([[int(name in one.label) for name in names] for one in predictions]).reshape(-1, len(names))
        label_of = {str(label): label for label in self.classes_.tolist()}
        return ragged([[label_of[name] for name in prediction.label] for prediction in predictions])

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """float64 [texts, classes] probability of each label by itself, in the order of `classes_`."""
        return self._probabilities(X, self.classes_)


class TextRegressor(RegressorMixin, _TextEstimator):  # type: ignore[misc]
    """Gives each text, or pair of texts, a number.

    Args: see `TaskEstimator`.

    X is as for `TextClassifier`; y holds numbers. `score` is R², as of all regressors of scikit-learn.
    """

    _settings = {"kind": "regression"}  # noqa: RUF012

    def _answer(self, record: Mapping[str, Any], target: Any) -> dict[str, Any]:
        try:
            return {"label": float(target)}
        except (TypeError, ValueError) as error:
            raise InputError(f"the target must be a number, not {target!r}") from error

    def predict(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """float64 [texts]."""
        return np.array([prediction.label for prediction in self.predictions(X)], dtype=np.float64)


def _label(target: Any) -> str:
    if is_missing(target) or isinstance(target, list | tuple | set | frozenset):
        raise InputError(f"the target must be a label, not {target!r}")
    return str(target)


def _several(target: Any) -> list[Any]:
    if not isinstance(target, list | tuple | set | frozenset):
        raise InputError(f"a target must be a list of labels, not {target!r}")
    if isinstance(target, list) and len({str(label) for label in target}) < len(target):
        raise InputError(f"a target names a label twice: {target!r:.80}; a matrix of 0 and 1 must be an array")
    return sorted(target) if isinstance(target, set | frozenset) else list(target)
