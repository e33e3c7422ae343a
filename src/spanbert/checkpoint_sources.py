"""Where a model comes from: a folder, a shipped package, the hub, a tarball of 2019, or an original checkpoint."""

from __future__ import annotations

import json
import math
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanbert.errors import CheckpointError
from spanbert.key_maps import KeyMap, key_map_of
from spanbert.legacy_checkpoints import extracted_tarball, read_original_checkpoint
from spanbert.model_differences import DIFFERENCE_FILE, WHOLE_FILE, Base, find_base
from spanbert.shipped_models import misspelt, shipped_folder
from spanbert.tokenization import PieceTokenizer
from spanbert.torch_files import StoredTensor, TorchFile

if TYPE_CHECKING:
    from torch import Tensor

HUB_NAMES = {
    "spanbert-base-cased": "SpanBERT/spanbert-base-cased",
    "spanbert-large-cased": "SpanBERT/spanbert-large-cased",
}
"""Short names of the models of the paper -> their names on the hub."""

CONFIG_FILES = ("config.json", "bert_config.json")
_WEIGHT_FILES = (
    WHOLE_FILE,
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
_OUR_TITLE = "SpanBERT of this package"
_FOREIGN_WEIGHTS = ("tf_model.h5", "flax_model.msgpack", "*.ckpt.index")
_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class TensorEntry:
    """A tensor of a source, not read yet.

    Attributes:
        shape: its sizes.
        dtype: the type of its numbers ("float16").
        read: reads it; it may share memory, so copy it before changing it.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Tensor]

    @property
    def num_values(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Source:
    """A BERT-like model, opened for reading.

    Attributes:
        name: as it was asked for.
        title: what it is, for people.
        config: the fields of its configuration.
        key_map: between its tensor names and ours.
        tensors: by its own names.
        notes: what people should know of it.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    key_map: KeyMap
    tensors: Mapping[str, TensorEntry]
    notes: tuple[str, ...] = ()


def resolve_name(name: str) -> str:
    """What `transformers` opens for a name: the folder of a shipped model that is no folder here, the hub name of a
    short name such as `spanbert-base-cased`; any other name as it is.

    Raises:
        CheckpointError: a shipped model is not installed, or damaged.
    """
    if Path(name).exists() or (folder := shipped_folder(name)) is None:
        return HUB_NAMES.get(name, name)
    return str(folder)


def model_folder(name_or_path: str | Path, *, tokenizer_only: bool = False) -> Path:
    """The folder of a model on this machine: of this path, else shipped under this name, else fetched from the hub.

    Args:
        name_or_path: a folder, the name of a shipped model, or a name on the hub.
        tokenizer_only: do not fetch the weights.

    Raises:
        CheckpointError: there is no such model, or a shipped one is not installed or damaged.
    """
    path = Path(name_or_path)
    if path.is_dir():
        return path
    return shipped_folder(str(name_or_path)) or download(str(name_or_path), tokenizer_only=tokenizer_only)


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a vocabulary."""
    return any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt"))


@contextmanager
def open_source(name_or_path: str | Path, *, num_heads: int | None = None) -> Iterator[Source]:
    """Open a model for reading; what the source gives is valid until the end of the block.

    Args:
        name_or_path: a folder, a tarball, a training checkpoint of the original release, the name of a shipped model,
            or a name on the hub.
        num_heads: attention heads of an original training checkpoint, where it does not say.

    Raises:
        CheckpointError: there is no such model, it is damaged, or not BERT's.
    """
    name, path = str(name_or_path), Path(name_or_path)
    with ExitStack() as stack:
        if not path.is_file():
            yield _open_folder(name, model_folder(name), stack)
        elif path.suffix == ".safetensors":
            raise CheckpointError(f"{path} holds the tensors of a model and no configuration: give its folder")
        elif _is_tarball(path):
            yield _open_folder(name, stack.enter_context(extracted_tarball(path)), stack)
        else:
            yield _open_original(name, path, stack, num_heads)


def load_tokenizer(name_or_path: str | Path) -> PieceTokenizer:
    """The tokenizer of a model: a folder, a tarball, a shipped or hub name, or a vocabulary file (vocab.txt).

    Raises:
        CheckpointError: there is none.
    """
    path = Path(name_or_path)
    if not path.is_file():
        return PieceTokenizer.load(model_folder(name_or_path, tokenizer_only=True))
    if _is_tarball(path):
        with extracted_tarball(path) as folder:
            if has_tokenizer(folder):
                return PieceTokenizer.load(folder)
    elif path.suffix == ".txt":
        return _vocabulary_file(path)
    raise CheckpointError(
        f"{path} comes without a vocabulary: give the one it was trained with, as a vocab.txt, a folder or a name on "
        "the hub (--tokenizer)"
    )


def download(name: str, *, tokenizer_only: bool = False) -> Path:
    """The local copy of a model of the hub, fetched where it is not there yet.

    Raises:
        CheckpointError: it cannot be fetched; the message says how to bring it from another machine.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub_name = HUB_NAMES.get(name, name)
    try:
        small_files = [*CONFIG_FILES, *_TOKENIZER_FILES, "golden.json"]
        folder = Path(huggingface_hub.snapshot_download(hub_name, allow_patterns=small_files))
        if not tokenizer_only:
            huggingface_hub.snapshot_download(hub_name, allow_patterns=["model*.safetensors*", DIFFERENCE_FILE])
            if not any(folder.glob("model*.safetensors")) and not (folder / DIFFERENCE_FILE).is_file():
                huggingface_hub.snapshot_download(hub_name, allow_patterns=["pytorch_model*.bin*"])
                if not any(folder.glob("pytorch_model*.bin")):  # an offline copy may hold a part of the files
                    raise FileNotFoundError("no weights")
    except (OSError, HfHubHTTPError, HFValidationError, ValueError) as error:
        folder_name = hub_name.rsplit("/", 1)[-1]
        if Path(name).is_absolute():
            raise CheckpointError(f"{name!r} is no folder or file here") from error
        if explained := misspelt(name):
            raise explained from error
        meaning = f" (on the hub: {hub_name})" if hub_name != name else ""
        raise CheckpointError(
            f"{name!r}{meaning} is no folder or file here, and the hub does not give it ({type(error).__name__}). "
            f"Without a network: on a machine that has one, run `hf download {hub_name} --local-dir {folder_name}`, "
            f"bring the folder {folder_name} here, and give its path"
        ) from error
    return folder


def _is_tarball(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror}") from error


def _open_folder(name: str, folder: Path, stack: ExitStack) -> Source:
    config = _read_config(name, folder)
    if (base := Base.of(config, name)) is not None:
        return _open_difference(name, folder, config, base, stack)
    tensors: dict[str, TensorEntry] = {}
    for path in _weight_files(name, folder):
        tensors |= _open_safetensors(path, stack) if path.suffix == ".safetensors" else _open_pickled(path, stack)
    key_map = key_map_of(tensors)
    title = _OUR_TITLE if "spanbert" in config else key_map.title
    return Source(name, title, config, key_map, tensors)


def _open_difference(name: str, folder: Path, config: Mapping[str, Any], base: Base, stack: ExitStack) -> Source:
    """A model whose folder has a part of its tensors; its base has the others."""
    if not (folder / DIFFERENCE_FILE).is_file():
        raise CheckpointError(f"{name} lacks {DIFFERENCE_FILE}, which its config.json means: bring the folder again")
    own = _open_safetensors(folder / DIFFERENCE_FILE, stack)
    place = find_base(base, folder, name, model_folder)
    theirs = _open_safetensors(place / WHOLE_FILE, stack)
    key_map = key_map_of(theirs)
    of_base = {key_map.to_ours(key): entry for key, entry in theirs.items()}
    if missing := [key for key in base.tensors if key not in of_base or key in own]:
        raise CheckpointError(f"{name}: config.json is damaged: {missing[0]} is not what the base {base.name} gives it")
    # What is opened is whole, and so is what others save with this configuration.
    config = {**config, "spanbert": {key: value for key, value in config["spanbert"].items() if key != "base"}}
    note = f"{len(base.tensors)} of its tensors are those of its base {base.name}"
    tensors = own | {key: of_base[key] for key in base.tensors}
    return Source(name, _OUR_TITLE, config, key_map_of(tensors), tensors, (note,))


def _open_original(name: str, path: Path, stack: ExitStack, num_heads: int | None) -> Source:
    file = stack.enter_context(TorchFile(path))
    checkpoint = read_original_checkpoint(file, num_heads)
    tensors = {key: _entry(file, stored) for key, stored in checkpoint.tensors.items()}
    key_map = key_map_of(tensors)
    return Source(name, key_map.title, checkpoint.config, key_map, tensors, checkpoint.notes)


def _read_config(name: str, folder: Path) -> dict[str, Any]:
    path = next((folder / file for file in CONFIG_FILES if (folder / file).is_file()), None)
    if path is None:
        raise CheckpointError(f"{name} is no model folder: it has no config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    kind = config.get("model_type", "bert") if isinstance(config, dict) else None
    if kind != "bert" or not config.keys() & {"model_type", "hidden_size"}:
        what = f"its model_type is {kind!r}" if kind != "bert" else "it is not a model's"
        raise CheckpointError(f"{path}: {what}. Supported are BERT encoders only (model_type 'bert')")
    if not isinstance(config.get("spanbert") or {}, dict):
        raise CheckpointError(f"{path}: what stands under 'spanbert' is not an object")
    return dict(config)


def _weight_files(name: str, folder: Path) -> list[Path]:
    path = next((folder / file for file in _WEIGHT_FILES if (folder / file).is_file()), None)
    if path is None:
        foreign = [found.name for pattern in _FOREIGN_WEIGHTS for found in folder.glob(pattern)]
        hint = f"; {foreign[0]} is of another framework: convert it with `transformers` first" if foreign else ""
        raise CheckpointError(f"{name} has neither model.safetensors nor pytorch_model.bin{hint}")
    if path.suffix != ".json":
        return [path]
    try:
        names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: it does not list the weight files ({error})") from error
    for file in names:
        if not isinstance(file, str) or Path(file).name != file or not (folder / file).is_file():
            raise CheckpointError(f"{path} names the weight file {file!r}, which is not in the folder")
    return [folder / file for file in names]


def _open_safetensors(path: Path, stack: ExitStack) -> dict[str, TensorEntry]:
    from safetensors import SafetensorError, safe_open

    try:
        file = stack.enter_context(safe_open(path, framework="pt"))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {error}") from error

    def entry(key: str) -> TensorEntry:
        view = file.get_slice(key)
        dtype = _SAFETENSORS_DTYPES.get(view.get_dtype(), view.get_dtype().lower())
        return TensorEntry(tuple(view.get_shape()), dtype, lambda: file.get_tensor(key))

    return {key: entry(key) for key in file.keys()}  # noqa: SIM118  # not a dict


def _open_pickled(path: Path, stack: ExitStack) -> dict[str, TensorEntry]:
    file = stack.enter_context(TorchFile(path))
    if not isinstance(file.content, dict):
        raise CheckpointError(f"{path} does not hold a dict of tensors: save the model's state_dict()")
    return {str(key): _entry(file, value) for key, value in file.content.items() if isinstance(value, StoredTensor)}


def _entry(file: TorchFile, stored: StoredTensor) -> TensorEntry:
    return TensorEntry(stored.shape, stored.dtype, lambda: file.read(stored))


def _vocabulary_file(path: Path) -> PieceTokenizer:
    with tempfile.TemporaryDirectory(prefix="spanbert-") as folder:
        shutil.copyfile(path, Path(folder) / "vocab.txt")
        try:
            return PieceTokenizer.load(folder)
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(Path(folder) / "vocab.txt"), str(path))) from error
