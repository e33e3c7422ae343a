"""The tasks: one vertical slice each, and the table by which the command line and saved models name them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spanbert.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from spanbert.task import Task

TASKS = {
    "question-answering": "spanbert.tasks.question_answering.task:QuestionAnswering",
    "ner": "spanbert.tasks.ner.task:NamedEntityRecognition",
    "coreference": "spanbert.tasks.coreference.task:CoreferenceResolution",
    "relations": "spanbert.tasks.relations.task:RelationExtraction",
    "classification": "spanbert.tasks.classification.task:Classification",
}
ENTRY_POINT_GROUP = "spanbert.tasks"
"""Other packages add tasks under this group of entry points: a name, and "module:Class" of a `Task`."""

# What people call the tasks elsewhere; only for the hint.
_SYNONYMS = {
    "qa": "question-answering",
    "questions": "question-answering",
    "squad": "question-answering",
    "extractive-qa": "question-answering",
    "reading-comprehension": "question-answering",
    "entities": "ner",
    "entity": "ner",
    "named-entities": "ner",
    "named-entity-recognition": "ner",
    "token-classification": "ner",
    "tagging": "ner",
    "coref": "coreference",
    "coreference-resolution": "coreference",
    "relation": "relations",
    "relation-extraction": "relations",
    "relation-classification": "relations",
    "tacred": "relations",
    "classify": "classification",
    "text-classification": "classification",
    "sequence-classification": "classification",
    "sentiment": "classification",
    "regression": "classification",
}


def task_names() -> list[str]:
    """The names of all tasks: ours in the table's order, then those of other packages."""
    return [*TASKS, *sorted(_of_other_packages().names - TASKS.keys())]


def find_task(name: str) -> type[Task[Any, Any]]:
    """The class of a task; only its own modules are imported.

    Raises:
        ConfigurationError: there is no such task (the nearest right name is told), or another package's cannot be
            imported.
    """
    if name in TASKS:
        return _imported(TASKS[name])
    for entry in _of_other_packages().select(name=name):
        try:
            return _imported(entry.value)
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"the task {name!r} ({entry.value}) cannot be imported: {error}") from error
    raise ConfigurationError(f"there is no task {name!r}: {_hint(name, task_names())}")


def _of_other_packages() -> EntryPoints:
    # Brings the packages for mail and zip files with it, and our own tasks do without: a tenth of the start of `check`.
    from importlib.metadata import entry_points

    return entry_points(group=ENTRY_POINT_GROUP)


def _imported(place: str) -> type[Task[Any, Any]]:
    module, _, attribute = place.partition(":")
    task: type[Task[Any, Any]] = getattr(importlib.import_module(module), attribute)
    return task


def _hint(name: str, names: Iterable[str]) -> str:
    names = list(names)
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if plain in names:
        return f"did you mean {plain!r}?"
    if plain in _SYNONYMS:
        return f"did you mean {_SYNONYMS[plain]!r}?"
    nearest = difflib.get_close_matches(plain, [*names, *_SYNONYMS], n=1)
    meant = f"did you mean {_SYNONYMS.get(nearest[0], nearest[0])!r}? " if nearest else ""
    return f"{meant}The tasks are {', '.join(names)}"
