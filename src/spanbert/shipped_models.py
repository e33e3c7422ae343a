"""Models that come as Python packages: a name such as `spanbert-mini-en` -> its folder, checked, without a network.

A package announces its models under the entry point `spanbert.models`: the name of a model, and the name of the package
that holds a folder of that name. Beside these folders lies `checksums.json`, with size and SHA-256 of every file.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanbert.durable_files import remembered_hash
from spanbert.errors import CheckpointError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

DEFAULT_MODEL = "spanbert-mini-en"
"""What is fine-tuned, and fills texts, where no model is named."""

OUR_MODELS = (DEFAULT_MODEL, *(f"{DEFAULT_MODEL}-{task}" for task in ("qa", "ner", "coref")))
"""The models of the package `spanbert-mini-en`, whether it is installed or not."""

ENTRY_POINT_GROUP = "spanbert.models"
CHECKSUMS = "checksums.json"

_HOW_TO_INSTALL = f"pip install ./models/{DEFAULT_MODEL} in a clone of the repository, or pip install 'spanbert[model]'"
_HOW_TO_UPGRADE = (
    f"a later version may: pip install ./models/{DEFAULT_MODEL} in a newer clone of the repository, or pip install "
    f"--upgrade {DEFAULT_MODEL}"
)


def shipped_folder(name: str) -> Path | None:
    """The folder of a shipped model, every file of it compared with its checksum once a process; None for other names.

    Raises:
        CheckpointError: the model's package is not installed or too old, or a file of it is damaged or missing.
    """
    if "/" in name:  # of the hub, or a path
        return None
    # Brings the packages for mail and zip files with it, and most commands do without.
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return _checked(name, entry)
    if name not in OUR_MODELS:
        return None
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=DEFAULT_MODEL):
        raise CheckpointError(f"{_installed(entry)} does not hold the model {name}: {_HOW_TO_UPGRADE}")
    raise CheckpointError(f"the model {name} is not installed here: {_HOW_TO_INSTALL}")


def misspelt(name: str) -> CheckpointError | None:
    """What to say of a name that nothing has, where a shipped model is probably meant by it."""
    from importlib.metadata import entry_points

    known = {*OUR_MODELS, *(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))}
    for nearest in difflib.get_close_matches(name.lower().replace("_", "-"), sorted(known), n=1, cutoff=0.8):
        return CheckpointError(f"there is no model {name!r}: did you mean {nearest!r}?")
    return None


def is_shipped(folder: Path) -> bool:
    """Whether a model's folder belongs to an installed package, so that nothing may be written to it."""
    folder = folder.resolve()
    try:
        checksums = json.loads((folder.parent / CHECKSUMS).read_text(encoding="utf-8"))
        return any(True for _ in _files_of(folder.name, checksums))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _checked(name: str, entry: EntryPoint) -> Path:
    package = _package_folder(entry)
    if package is None:
        raise CheckpointError(f"the package {entry.value} of the model {name} cannot be found: {_reinstall(entry)}")
    try:
        listed = list(_files_of(name, json.loads((package / CHECKSUMS).read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{package / CHECKSUMS} is missing or damaged ({type(error).__name__}): {_reinstall(entry)}"
        ) from error
    if not listed:
        raise CheckpointError(
            f"the package {entry.value} announces the model {name} and does not hold it: {_reinstall(entry)}"
        )
    for file, size, digest in listed:
        path = package / file
        try:
            problem = None if path.stat().st_size == size and remembered_hash(path) == digest else "is damaged"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        if problem is not None:
            raise CheckpointError(f"{path} {problem}: {_reinstall(entry)}")
    return package / name


def _files_of(name: str, checksums: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """(path inside the package, size in bytes, SHA-256) of each file of a model."""
    for path, known in checksums["files"].items():
        if path.startswith(f"{name}/"):
            yield path, int(known["size"]), str(known["sha256"])


def _package_folder(entry: EntryPoint) -> Path | None:
    """Where a package lies; it is not imported."""
    from importlib.util import find_spec

    try:
        spec = find_spec(entry.value)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def _installed(entry: EntryPoint) -> str:
    """Which package is installed, for people."""
    return f"the installed {entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _reinstall(entry: EntryPoint) -> str:
    distribution = entry.dist.name if entry.dist is not None else entry.value
    place = f"./models/{DEFAULT_MODEL} in a clone of the repository" if distribution == DEFAULT_MODEL else distribution
    return f"install {distribution} again: pip install --force-reinstall --no-deps {place}"
