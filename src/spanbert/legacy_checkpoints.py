"""Checkpoints from before model folders: the original release's training checkpoints, and the tarballs of 2019."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spanbert.errors import CheckpointError
from spanbert.key_maps import key_map_of
from spanbert.torch_files import StandIn, StoredTensor, TorchFile

_HEAD_WIDTH = 64
"""Hidden width of an attention head in every BERT that was released."""

_TARBALL_FILES = (
    "config.json",
    "bert_config.json",
    "model.safetensors",
    "pytorch_model.bin",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
)


@dataclass(frozen=True)
class OriginalCheckpoint:
    """What a training checkpoint of the original release says of its model.

    Attributes:
        config: Hugging Face's BERT fields.
        tensors: by their own names.
        notes: how the configuration was found, for people.
    """

    config: dict[str, Any]
    tensors: dict[str, StoredTensor]
    notes: tuple[str, ...]


def read_original_checkpoint(file: TorchFile, num_heads: int | None = None) -> OriginalCheckpoint:
    """Find the model in a training checkpoint: a dict with `args`, `model`, `extra_state` and more.

    Sizes are read from the tensors. The number of attention heads is not in any of them: it is `num_heads`, or what
    the checkpoint's `args` say, or the hidden width by 64.

    Where none of these is there, the configuration does not have `num_attention_heads`.

    Raises:
        CheckpointError: the file holds something else, or the number of heads does not divide the hidden width.
    """
    content = file.content
    if isinstance(content, dict) and any(isinstance(value, StoredTensor) for value in content.values()):
        raise CheckpointError(
            f"{file.path} holds the tensors of a model and no configuration: name it pytorch_model.bin, put it into a "
            "folder beside its config.json, and give the folder"
        )
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise CheckpointError(
            f"{file.path} is no training checkpoint of the original release: it is not a dict with the key 'model'"
        )
    tensors = {str(name): value for name, value in model.items() if isinstance(value, StoredTensor)}
    config = _sizes(file.path, tensors)
    heads, origin = _num_heads(config["hidden_size"], content.get("args"), num_heads)
    notes = [
        f"sizes read from the tensors: {config['num_hidden_layers']} layers, {config['hidden_size']} wide, "
        f"{config['vocab_size']:,} pieces",
        f"attention heads: {heads or 'unknown'} ({origin})",
    ]
    if heads is not None:
        if heads < 1 or config["hidden_size"] % heads:
            raise CheckpointError(
                f"{file.path}: {heads} attention heads ({origin}) do not divide the hidden width "
                f"{config['hidden_size']}: give --num-heads"
            )
        config["num_attention_heads"] = heads
    if others := sorted(str(key) for key in content if key != "model"):
        notes.append(f"not read: {', '.join(others)}")
    if file.unknown:
        notes.append(f"left inert, never run: {', '.join(sorted(file.unknown))}")
    return OriginalCheckpoint(config, tensors, tuple(notes))


def _sizes(path: Path, tensors: Mapping[str, StoredTensor]) -> dict[str, int]:
    key_map = key_map_of(tensors)
    shapes = {key_map.to_ours(name): tensor.shape for name, tensor in tensors.items()}
    prefix = "bert.encoder.layer."
    try:
        vocab_size, hidden_size = shapes["bert.embeddings.word_embeddings.weight"]
        return {
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "max_position_embeddings": shapes["bert.embeddings.position_embeddings.weight"][0],
            "type_vocab_size": shapes["bert.embeddings.token_type_embeddings.weight"][0],
            "intermediate_size": shapes[f"{prefix}0.intermediate.dense.weight"][0],
            "num_hidden_layers": len({name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}),
        }
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no training checkpoint of the original release: among its {len(tensors)} tensors there is no "
            f"usable {error}"
        ) from error


def _num_heads(hidden_size: int, args: object, given: int | None) -> tuple[int | None, str]:
    """The number of attention heads, and where it comes from."""
    if given is not None:
        return given, "as given"
    if said := _heads_in_args(args):
        return said, "from its args"
    if hidden_size % _HEAD_WIDTH == 0:
        return hidden_size // _HEAD_WIDTH, f"{hidden_size} / {_HEAD_WIDTH}, as in every released BERT"
    return None, f"its args do not say, and {hidden_size} / {_HEAD_WIDTH} is no whole number"


def _heads_in_args(args: object) -> int | None:
    state = args.state if isinstance(args, StandIn) else args
    if not isinstance(state, dict):
        return None
    said = {value for name, value in state.items() if str(name).endswith("attention_heads") and type(value) is int}
    return said.pop() if len(said) == 1 else None


@contextmanager
def extracted_tarball(path: Path) -> Iterator[Path]:
    """The files of a model in a tarball, in a temporary folder; whatever else is in it is not unpacked.

    Raises:
        CheckpointError: the tarball is damaged, or holds two models.
    """
    with tempfile.TemporaryDirectory(prefix="spanbert-") as folder:
        found: dict[str, str] = {}
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if not member.isfile() or name not in _TARBALL_FILES:
                        continue
                    if name in found:
                        raise CheckpointError(f"{path} holds two models: {found[name]} and {member.name}")
                    found[name] = member.name
                    content = archive.extractfile(member)
                    assert content is not None
                    with content, (Path(folder) / name).open("wb") as file:
                        shutil.copyfileobj(content, file)
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise CheckpointError(f"{path} cannot be unpacked: {error}") from error
        if not found:
            raise CheckpointError(f"{path} holds no model: none of {', '.join(_TARBALL_FILES)}")
        yield Path(folder)
