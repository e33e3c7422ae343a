"""`spanbert.load`: a fine-tuned model, opened for questions from Python."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, overload

from spanbert.errors import InputError
from spanbert.golden import Golden, check_golden
from spanbert.prediction_input import QUESTION_ANSWERING, ErrorRecord
from spanbert.prediction_stream import Answer, answer_records
from spanbert.task import ExampleT, Located, PredictionT, Task
from spanbert.training.config import Device, Precision

if TYPE_CHECKING:
    from spanbert.predicting import Predictor


def load(
    name_or_path: str | Path,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    batch_pieces: int | None = None,
    golden: Golden = "check",
) -> SpanBertPredictor[Any, Any]:
    """Open a fine-tuned model.

        predictor = spanbert.load("my-model")
        predictor.predict("The acting is superb.")
        predictor.predict(question="Who wrote it?", context="...")

    Args:
        name_or_path: a folder that `spanbert finetune` wrote, the name of a shipped model ("spanbert-mini-en-ner"), or
            a name on the hub.
        device: "auto" takes a GPU when there is one.
        precision: "auto" takes bf16 where the processor multiplies it in hardware.
        threads: CPU threads; None means all cores.
        batch_pieces: most pieces, padding counted, that go through the encoder at once; None means 8,192 on a GPU and
            2,048 on a CPU.
        golden: what to do about the answers that are stored with the model: "check" compares them with those of today,
            once for each combination of library versions, processor and precision; "accept" stores those of today in
            their place; "skip" does nothing.

    Raises:
        CheckpointError: there is no such model, it is not fine-tuned, or its answers are no longer those stored.
        ConfigurationError: there is no such device, or no bf16.
    """
    from spanbert.checkpoint_sources import model_folder
    from spanbert.predicting import Predictor
    from spanbert.task_checkpoints import load_task_model

    predictor = Predictor(
        *load_task_model(name_or_path), device=device, precision=precision, threads=threads, batch_pieces=batch_pieces
    )
    check_golden(predictor, model_folder(name_or_path), golden)
    return SpanBertPredictor(predictor)


class SpanBertPredictor(Generic[ExampleT, PredictionT]):
    """A fine-tuned model that answers. Threads can share it: predicting changes nothing in it.

    Attributes:
        predictor: the loop underneath, for examples that are made already.
    """

    def __init__(self, predictor: Predictor[ExampleT, PredictionT]) -> None:
        self.predictor = predictor

    @property
    def task(self) -> Task[ExampleT, PredictionT]:
        """What the model was fine-tuned for."""
        return self.predictor.task

    @property
    def settings(self) -> Any:
        """The settings of the task, with what was learned beside the weights, such as thresholds."""
        return self.task.settings

    @property
    def labels(self) -> tuple[str, ...]:
        """What the model can say of a text or a span; () for a task that has no labels."""
        return tuple(getattr(self.settings, "labels", ()))

    def __repr__(self) -> str:
        labels = f", labels {', '.join(self.labels)}" if self.labels else ""
        return f"<{type(self).__name__} for {self.task.name}{labels}>"

    @overload  # a str is an iterable of str too, but the first signature that fits counts
    def predict(self, inputs: str | Mapping[str, Any] | ExampleT, /) -> PredictionT: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, inputs: Iterable[str | Mapping[str, Any] | ExampleT], /) -> list[PredictionT]: ...

    @overload
    def predict(self, /, **fields: Any) -> PredictionT: ...

    def predict(self, inputs: Any = None, /, **fields: Any) -> Any:
        """One prediction for one input, a list of them for several.

        Args:
            inputs: a text (where text is enough for the task), a mapping with the keys of a JSON-lines record, an
                example, or several of these. What is missing as "id" becomes the input's number, from 1.
            fields: the keys of one record instead: `predict(question="...", context="...")`.

        Raises:
            InputError: an input is not what the task needs; among several, the message tells its number.
        """
        if (inputs is None) == (not fields):
            raise InputError("predict takes one input, several of them, or the keys of one as keywords")
        if inputs is None:
            return self._one(fields)
        if isinstance(inputs, str | bytes | bytearray | Mapping) or hasattr(inputs, "to_json"):
            return self._one(inputs)
        if not isinstance(inputs, Iterable):
            raise InputError(f"predict takes a text, a mapping, an example, or several of these{_not(inputs)}")
        return list(self._answers(inputs, name=True))

    def _one(self, value: Any) -> PredictionT:
        return next(self._answers([value], name=False))

    def _answers(self, values: Iterable[Any], *, name: bool) -> Iterator[PredictionT]:
        for answer in answer_records(self.predictor, map(self._located, values, itertools.count(1))):
            if isinstance(answer, ErrorRecord):
                raise InputError(answer.error, source=f"input {answer.line}" if name else None)
            if isinstance(answer, Answer):
                yield answer.prediction

    def _located(self, value: Any, number: int) -> Located[Any] | ErrorRecord:
        try:
            return Located(self._example(value, str(number)), number)
        except InputError as error:
            return ErrorRecord(number, str(error))

    def _example(self, value: Any, id_: str) -> ExampleT:
        if isinstance(value, str):
            if self.task.plain_text is None:
                raise InputError(self._needs_keys())
            return self.task.example_from_text(value, id_)
        if not isinstance(value, Mapping) and not hasattr(value, "to_json"):
            raise InputError(f"an input is a text, a mapping or an example{_not(value)}")
        record = value if isinstance(value, Mapping) else value.to_json()
        try:
            # As JSON and back: tuples become lists, and what no file could say is refused as it would be there.
            return self.task.example(json.loads(json.dumps(self.task.with_id(record, id_))))
        except (TypeError, ValueError) as error:
            raise InputError(f"an input must be what JSON can say: {error}") from error

    def _needs_keys(self) -> str:
        if self.task.name == QUESTION_ANSWERING:
            return 'a question needs a context: predict(question="...", context="...")'
        return f"a text alone is not enough for {self.task.name}: give a mapping with the keys of its JSON lines"


def _not(value: object) -> str:
    hint = ": decode it, as in text.decode()" if isinstance(value, bytes | bytearray) else ""
    return f", not {type(value).__name__}{hint}"
