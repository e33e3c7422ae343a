"""Fine-tuned models stored as what differs from a base: several that share an encoder's tables hold these once.

Such a folder has `difference.safetensors` in place of `model.safetensors`, so that a program which knows nothing of
bases finds no weights instead of half of them. Under `spanbert`, `base` its config.json says where the base is, which
(the SHA-256 of its model.safetensors), and which tensors are taken from it, by our names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from spanbert.durable_files import remembered_hash
from spanbert.errors import CheckpointError
from spanbert.shipped_models import is_shipped

if TYPE_CHECKING:
    from torch import Tensor

    from spanbert.checkpoint_sources import Source

WHOLE_FILE = "model.safetensors"
DIFFERENCE_FILE = "difference.safetensors"


@dataclass(frozen=True)
class Base:
    """What config.json says of the base of a model.

    Attributes:
        name: a shipped model, a name on the hub, or a path from the folder around the model's own, with `/`.
        sha256: of the base's model.safetensors.
        tensors: the tensors that are taken from it, by our names.
    """

    name: str
    sha256: str
    tensors: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As config.json says it."""
        return asdict(self)

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str) -> Self | None:
        """The base that a config.json names; None for a whole model.

        Args:
            config: its contents.
            name: of the model, for messages.

        Raises:
            CheckpointError: what it says of the base is damaged.
        """
        said = (config.get("spanbert") or {}).get("base")
        if said is None:
            return None
        try:
            base = cls(said["name"], said["sha256"], tuple(said["tensors"]))
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{name}: config.json is damaged: its 'base' is not one ({error!r})") from error
        if not all(isinstance(value, str) for value in (base.name, base.sha256, *base.tensors)):
            raise CheckpointError(f"{name}: config.json is damaged: its 'base' holds something else than text")
        return base


def split_by_base(
    values: Mapping[str, Tensor], stored: Mapping[str, Tensor], base: Source
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What of a model's tensors has to be stored, and those that the base has, as it has them, in fp32.

    A tensor is the base's where the base holds it as it is, or as it would be stored. So whatever opens the difference
    gets every tensor in one of these two forms, to the bit.

    Args:
        values: the model's tensors by name, fp32 on the CPU.
        stored: the same, as they would be written.
        base: opened.
    """
    import torch

    entries = {base.key_map.to_ours(name): entry for name, entry in base.tensors.items()}
    shared = {}
    for name, value in values.items():
        entry = entries.get(name)
        if entry is None or entry.shape != tuple(value.shape) or "float" not in entry.dtype:
            continue
        there = entry.read().float()
        if torch.equal(there, value) or torch.equal(there, stored[name].float()):
            shared[name] = there
    return {name: value for name, value in stored.items() if name not in shared}, shared


def hash_of_base(folder: Path, name: str) -> str:
    """What tells a base from others: the SHA-256 of its model.safetensors.

    Raises:
        CheckpointError: it has no such file, so it cannot be a base.
    """
    path = folder / WHOLE_FILE
    if path.is_file():
        return remembered_hash(path)
    if (folder / DIFFERENCE_FILE).is_file():
        raise CheckpointError(f"{name} is itself stored as the difference from a base: take that base")
    raise CheckpointError(f"{name} has no {WHOLE_FILE}, which a base needs: `spanbert convert {name} --output FOLDER`")


def name_of_base(base: str | Path, folder: Path) -> str:
    """How the config.json of a model in `folder` names its base: a folder by the way to it, so that both can move."""
    if not Path(base).is_dir():
        return str(base)
    try:
        return Path(os.path.relpath(Path(base).resolve(), folder.resolve().parent)).as_posix()
    except ValueError:  # on another drive of Windows
        return Path(base).resolve().as_posix()


def find_base(base: Base, folder: Path, name: str, find: Callable[[str], Path]) -> Path:
    """The folder of a model's base: on the way that its config.json names, else under that name as a user may give it.

    Args:
        base: what config.json says.
        folder: of the model.
        name: of the model, for messages.
        find: the folder of a model by its name; raises CheckpointError.

    Raises:
        CheckpointError: the base is not there, or is not the one that the difference was made with.
    """
    what = f"{name} holds only what differs from its base {base.name}"
    place = folder.resolve().parent / base.name
    if not _is(place, base):
        try:
            place = find(base.name)
        except CheckpointError as error:
            if not place.is_dir() or is_shipped(place):
                raise CheckpointError(f"{what}, and that cannot be opened: {error}") from error
    if not _is(place, base):
        raise CheckpointError(
            f"{what}, and {place} is another model than it was made with (that one's {WHOLE_FILE} has a SHA-256 that "
            f"begins with {base.sha256[:12]}): bring the base of then"
        )
    return place


def _is(folder: Path, base: Base) -> bool:
    path = folder / WHOLE_FILE
    return path.is_file() and remembered_hash(path) == base.sha256
