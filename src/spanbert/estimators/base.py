"""What all estimators share: parameters, fitting, predicting, scoring, pickling and saving.

They are thin wrappers over the loop of `spanbert finetune` and the predictor of `spanbert predict`.
"""

from __future__ import annotations

import difflib
import signal
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from spanbert.errors import ConfigurationError, InputError
from spanbert.estimators.inputs import rows_of
from spanbert.finetuning.config import FinetuneConfig
from spanbert.finetuning.model_card import model_card
from spanbert.finetuning.splits import split
from spanbert.finetuning.training import FinetuneResult, finetune_examples
from spanbert.golden import GOLDEN_FILE, make_golden
from spanbert.options import build_options
from spanbert.predicting import Predictor
from spanbert.shipped_models import DEFAULT_MODEL
from spanbert.task import Task
from spanbert.task_checkpoints import load_task_model, save_task_model
from spanbert.tasks import find_task
from spanbert.training.config import Device, Precision
from spanbert.training.record import now

_NEVER = 2**31
_NUM_WITHOUT_DEV = 32
"""Training examples on which the loop validates, once at the end, when there is no dev set."""
_OURS = frozenset({"output", "resume", "overwrite"})
"""Options that make no sense here: the run's folder is a temporary one."""


class TaskEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of the estimators.

    Args:
        model: where to start: a folder or hub name of any BERT-like model, or the name of a shipped one.
        epochs: passes over the training data; None means the task's default, here and in what follows.
        learning_rate: highest learning rate; the task's default falls with the encoder's width.
        batch_size: texts (windows of questions, sentences) of one optimiser step.
        max_length: most pieces of a window; longer text is read in several overlapping windows.
        dev_share: share of the training data that chooses the best epoch, thresholds and temperatures. 0 learns from
            all of it and takes the weights of the last step as they are.
        seed: of everything random, the dev split too.
        device: "auto" takes a GPU when there is one.
        precision: "auto" takes bf16 where the processor multiplies it in hardware.
        threads: CPU threads; None means all cores.
        quiet: no progress on stderr.
        options: further options of `spanbert finetune TASK --help`, with `_` for `-`: `{"lora_rank": 8}`.

    Attributes:
        predictor_: the fitted model with its task and tokenizer.
        metrics_: the task's figures on the dev set; empty without one.
        record_: of the run: versions, machine, options.
    """

    _task_name: ClassVar[str]
    _settings: ClassVar[Mapping[str, Any]] = {}
    """Settings of the task that the estimator decides."""

    predictor_: Predictor[Any, Any]
    metrics_: dict[str, float]
    record_: dict[str, Any]

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        epochs: float | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        max_length: int | None = None,
        dev_share: float = 0.1,
        seed: int = 0,
        device: Device = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        quiet: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_length = max_length
        self.dev_share = dev_share
        self.seed = seed
        self.device = device
        self.precision = precision
        self.threads = threads
        self.quiet = quiet
        self.options = options

    # What an estimator says of its task

    @abstractmethod
    def _record(self, row: Any) -> dict[str, Any]:
        """A row of X as the task's JSON record."""

    @abstractmethod
    def _answer(self, record: Mapping[str, Any], target: Any) -> dict[str, Any]:
        """What the record has besides when its target is known."""

    def _targets(self, y: Any) -> list[Any]:
        """y as a list; a column (a DataFrame or an array of one) counts as its values."""
        if y is None:
            raise InputError("y is missing: there is nothing to learn from or to compare with")
        targets = rows_of(y, name="y")
        if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1:
            targets = [next(iter(row.values())) if isinstance(row, Mapping) else row[0] for row in targets]
        return targets

    def _begin(self, rows: Sequence[Any], targets: Sequence[Any]) -> None:
        """Learn from the training data what the task does not."""

    def _look_at(self, examples: Sequence[Any]) -> None:
        """Warn of what is wrong with training examples."""

    # scikit-learn's contract

    def fit(self, X: Any, y: Any, *, dev: tuple[Any, Any] | None = None) -> Self:  # noqa: N803
        """Fine-tune the model.

        Args:
            X: what the class says.
            y: as many targets.
            dev: X and y of a dev set, in place of a share of the training data.

        Raises:
            InputError: X or y is not what it should be (the row is named), or nothing can be learned from it.
            ConfigurationError: an option is unknown or out of range.
            CheckpointError: there is no such model, or it is not BERT's.
        """
        rows, targets = rows_of(X), self._targets(y)
        self._begin(rows, targets)
        with tempfile.TemporaryDirectory(prefix="spanbert-") as folder:
            task, config = self._configured(Path(folder) / "run")
            train = self._examples(rows, targets)
            self._look_at(train)
            if dev is not None:
                dev_examples = self._examples(rows_of(dev[0]), self._targets(dev[1]))
            elif self.dev_share:
                train, dev_examples = split(task, train, self.dev_share, seed=self.seed)
            else:
                dev_examples = []
            data = {"examples": {"train": len(train), "dev": len(dev_examples)}}
            result = finetune_examples(task, train, dev_examples or train[:_NUM_WITHOUT_DEV], config, data=data)
        if result.stopped_by:
            raise KeyboardInterrupt if result.stopped_by == signal.SIGINT else SystemExit(128 + result.stopped_by)
        learned = result.task if dev_examples else task.learn(train)
        self.metrics_ = result.metrics if dev_examples else {}
        self.record_ = result.record | {"status": "finished", "ended": now(), "metrics": {"dev": self.metrics_}}
        self.predictor_ = Predictor(
            result.model,
            learned,
            result.tokenizer,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
        )
        return self

    def predictions(self, X: Any) -> list[Any]:  # noqa: N803
        """The task's own predictions, with probabilities and places in the text.

        Raises:
            NotFittedError: `fit` comes first.
            InputError: a row is not what it should be.
        """
        check_is_fitted(self)
        return list(self.predictor_.predict(self._examples(rows_of(X), None)))

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """The task's main figure as a share from 0 to 1; more is better."""
        check_is_fitted(self)
        gold = self._examples(rows_of(X), self._targets(y))
        task = self.predictor_.task
        figures = task.compare(gold, list(self.predictor_.predict(gold)), task.settings).figures()
        return figures[self._figure(task)] / 100

    def _figure(self, task: Task[Any, Any]) -> str:
        return task.main_metric

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags

    # Files

    def save(self, folder: str | Path) -> None:
        """Write a model folder for `spanbert.load`, `spanbert predict`, `spanbert evaluate` and plain transformers.

        Raises:
            NotFittedError: `fit` comes first.
            OSError: the disk is full or failing.
        """
        check_is_fitted(self)
        model, task, tokenizer = self.predictor_.model, self.predictor_.task, self.predictor_.tokenizer
        result = FinetuneResult(model, task, tokenizer, self.metrics_, self.record_)
        files = {
            "README.md": model_card(Path(folder).resolve().name, result, self.record_),
            GOLDEN_FILE: make_golden(self.predictor_, task.golden_examples()),
        }
        save_task_model(model, task, tokenizer, folder, extra_files=files)

    def __getstate__(self) -> dict[str, Any]:
        """The fitted model goes into a pickle as the files of its folder, which later versions read too."""
        state: dict[str, Any] = dict(super().__getstate__())
        predictor = state.pop("predictor_", None)
        if predictor is not None:
            with tempfile.TemporaryDirectory(prefix="spanbert-") as folder:
                save_task_model(predictor.model, predictor.task, predictor.tokenizer, Path(folder) / "model")
                state["_files"] = {path.name: path.read_bytes() for path in (Path(folder) / "model").iterdir()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop("_files", None)
        super().__setstate__(state)
        if files is not None:
            with tempfile.TemporaryDirectory(prefix="spanbert-") as folder:
                for name, content in files.items():
                    (Path(folder) / name).write_bytes(content)
                loaded = load_task_model(folder)
            self.predictor_ = Predictor(*loaded, device=self.device, precision=self.precision, threads=self.threads)

    # Within

    def _configured(self, output: Path) -> tuple[Task[Any, Any], FinetuneConfig]:
        task_class = find_task(self._task_name)
        parameters: dict[str, Any] = self.get_params(deep=False)
        options = parameters.pop("options") or {}
        del parameters["dev_share"]
        settings_names = {field.name for field in fields(task_class.settings_class)}
        config_names = {field.name for field in fields(FinetuneConfig)}
        _check_names(options, (settings_names | config_names) - _OURS - self._settings.keys(), parameters)
        chosen: dict[str, Any] = {
            **task_class.finetuning,
            "save_every": _NEVER,
            **({} if self.dev_share else {"validate_every": _NEVER}),
            **{name: value for name, value in parameters.items() if value is not None},
            **options,
            **self._settings,
            "model": str(self.model),
            "output": output,
        }
        settings = {name: value for name, value in chosen.items() if name in settings_names}
        config = {name: value for name, value in chosen.items() if name in config_names}
        what = type(self).__name__
        task = task_class(build_options(task_class.settings_class, settings, what=what))
        return task, build_options(FinetuneConfig, config, what=what)

    def _examples(self, rows: Sequence[Any], targets: Sequence[Any] | None) -> list[Any]:
        """Examples of rows, with their targets where these are known."""
        if targets is not None and len(rows) != len(targets):
            raise InputError(f"X has {len(rows)} rows and y {len(targets)}: they must be as many")
        task_class = find_task(self._task_name)
        examples = []
        for number, row in enumerate(rows):
            try:
                record = self._record(row)
                if targets is not None:
                    record |= self._answer(record, targets[number])
                examples.append(task_class.example(record | {"id": str(number)}))
            except InputError as error:
                raise InputError(str(error), source=f"row {number}") from error
        return examples


def _check_names(options: Mapping[str, Any], known: set[str], parameters: Mapping[str, Any]) -> None:
    for name in options:
        if name in parameters:
            raise ConfigurationError(f"options: {name!r} is a parameter of its own: give it there")
        if name not in known:
            nearest = difflib.get_close_matches(name, known | parameters.keys(), n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else "see `spanbert finetune TASK --help`"
            raise ConfigurationError(f"options: there is no {name!r}: {hint}")
