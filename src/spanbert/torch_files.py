"""Files written by `torch.save`, read as data: nothing in them is ever executed.

A pickle is a program: it names functions and calls them. `torch.load` runs it, or refuses every file that names a class
outside its list. Old training checkpoints name classes of packages that nobody has any more, so neither will do. Here
the unpickler knows ordered dicts, storage types and the functions that put a tensor together, and puts an inert record
in the place of a tensor; everything else becomes a `StandIn`, which takes whatever is done to it and does nothing.
Tensors are read when they are asked for, so the optimiser's state, twice the size of the model, never is.

Both formats are read: a zip archive (torch 1.6 and later), and before that several pickles followed by raw numbers.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from spanbert.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

# What the formats begin with, and what the old one says of itself.
_ZIP_MAGIC = b"PK\x03\x04"
_OLD_MAGIC = 0x1950A86A20F9469CFC6C
_OLD_PROTOCOL = 1001

_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2}
_ITEM_BYTES |= {"int8": 1, "uint8": 1, "bool": 1}


class _Storage(NamedTuple):
    """The numbers of one type that the file holds under `key`."""

    key: str
    dtype: str
    num_items: int


class StoredTensor(NamedTuple):
    """A tensor that lies in the file: how its storage is to be read. `TorchFile.read` reads it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """The type of its numbers, by torch's name ("float16")."""
        return self.storage.dtype


class _Sealed(type):
    """The type of what a pickle may call: not even an attribute of it can be set."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise TypeError(f"{cls.__name__} cannot be changed")


class StandIn(metaclass=_Sealed):
    """In the place of an object of any unknown class or function: takes calls, items and state, and does nothing.

    `state` is what the object would have been set to, for example the attributes of an `argparse.Namespace`.
    """

    __slots__ = ("state",)

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Take any arguments."""
        made = super().__new__(cls)
        made.state = None
        return made

    state: object

    def __setstate__(self, state: object) -> None:
        """Keep the state."""
        self.state = state

    def __call__(self, *args: object, **kwargs: object) -> Self:
        """Take any arguments."""
        return self

    def __setitem__(self, key: object, value: object) -> None:
        """Forget the item."""

    def append(self, item: object) -> None:
        """Forget the item."""

    def extend(self, items: object) -> None:
        """Forget the items."""

    def add(self, item: object) -> None:
        """Forget the item."""


class _Dict(dict[Any, Any], metaclass=_Sealed):
    """In the place of `OrderedDict`, whose objects have attributes that a pickle could set."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Forget the state: torch keeps version numbers there."""


class _RebuiltTensor(metaclass=_Sealed):
    """In the place of the function of torch that makes a tensor of a storage."""

    def __new__(cls, storage: object, offset: object, shape: object, stride: object, *rest: object) -> Any:
        if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
            raise pickle.UnpicklingError("a tensor without storage, shape or stride")
        numbers = (*shape, *stride, offset)
        if len(shape) != len(stride) or not all(type(number) is int and number >= 0 for number in numbers):
            raise pickle.UnpicklingError(f"a tensor of shape {shape} and stride {stride}")
        assert isinstance(offset, int)
        return StoredTensor(storage, offset, shape, stride)


class _RebuiltParameter(metaclass=_Sealed):
    """In the place of the functions of torch that make a parameter of a tensor."""

    def __new__(cls, data: Any, *rest: object) -> Any:
        return data


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor"): _RebuiltTensor,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuiltTensor,
    ("torch._utils", "_rebuild_parameter"): _RebuiltParameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _RebuiltParameter,
    **{("torch", storage): dtype for storage, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Every name in the pickle is looked up in `_KNOWN`, and nothing is imported.

    What a pickle can then reach are numbers, strings and containers, and the sealed classes above.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self.unknown: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module, name))
        if known is None:
            self.unknown.add(f"{module}.{name}")
            return StandIn
        return known

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or pid[0] != "storage":
            return StandIn()
        _, dtype, key, _device, num_items, *view = pid
        if dtype not in _ITEM_BYTES or type(num_items) is not int or num_items < 0 or any(view):
            raise pickle.UnpicklingError(f"a storage of {num_items} {dtype}")
        return _Storage(str(key), dtype, num_items)


class TorchFile:
    """A file written by `torch.save`, open for reading.

    Attributes:
        content: what was saved, with `StoredTensor` for tensors and `StandIn` for objects of unknown classes.
        unknown: names of the classes and functions that became stand-ins.

    Example:
        >>> with TorchFile(Path("pytorch_model.bin")) as file:
        ...     weight = file.read(file.content["bert.pooler.dense.weight"])
    """

    def __init__(self, path: Path) -> None:
        """Open a file; raises `CheckpointError` where it is not one of `torch.save`, or is cut off or damaged."""
        self.path = path
        self.unknown: set[str] = set()
        self._cached: tuple[str, bytearray] | None = None
        self._archive: zipfile.ZipFile | None = None
        # Old format: storage key -> where its raw numbers begin and how many bytes they have.
        self._places: dict[str, tuple[int, int]] = {}
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise CheckpointError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            self.content: Any = self._read_zip() if self._file.read(4) == _ZIP_MAGIC else self._read_old()
        except CheckpointError:
            self.close()
            raise
        except Exception as error:  # a damaged pickle can fail in any way
            self.close()
            raise CheckpointError(
                f"{path} cannot be read as a file of torch.save ({type(error).__name__}: {error}): it is damaged, cut "
                "off, or something else; compare its size with the original's"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._archive is not None:
            self._archive.close()
        self._file.close()

    def read(self, stored: StoredTensor) -> Tensor:
        """Read a tensor. It may share its memory with others of the same file: copy it before changing it.

        Raises `CheckpointError` where the file ends before the tensor does, or its checksum is wrong.
        """
        import torch

        dtype: torch.dtype = getattr(torch, stored.dtype)
        if 0 in stored.shape:
            return torch.empty(stored.shape, dtype=dtype)
        try:
            data = self._storage(stored.storage)
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{self.path} is damaged or cut off: the numbers of a tensor of shape {list(stored.shape)} are not "
                f"there ({error})"
            ) from error
        last = stored.offset + sum((size - 1) * step for size, step in zip(stored.shape, stored.stride, strict=True))
        if last >= stored.storage.num_items:
            raise CheckpointError(f"{self.path} is damaged: a tensor of shape {list(stored.shape)} exceeds its storage")
        numbers = torch.frombuffer(data, dtype=dtype, count=stored.storage.num_items)
        return numbers.as_strided(stored.shape, stored.stride, stored.offset)

    def _storage(self, storage: _Storage) -> bytearray:
        """The bytes of a whole storage; the last one is kept, for models saved as one flat storage."""
        if self._cached is None or self._cached[0] != storage.key:
            data = self._zip_storage(storage.key) if self._archive is not None else self._old_storage(storage.key)
            self._cached = storage.key, data
        data = self._cached[1]
        num_needed = storage.num_items * _ITEM_BYTES[storage.dtype]
        if len(data) < num_needed:
            raise EOFError(f"{len(data):,} bytes instead of {num_needed:,}")
        return data

    def _unpickle(self, file: IO[bytes]) -> Any:
        unpickler = _Unpickler(file)
        content = unpickler.load()
        self.unknown |= unpickler.unknown
        return content

    # torch 1.6 and later

    def _read_zip(self) -> Any:
        self._archive = zipfile.ZipFile(self._file)
        names = [name for name in self._archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(names) != 1 or names[0].replace("data.pkl", "constants.pkl") in self._archive.namelist():
            raise CheckpointError(f"{self.path} is a zip archive, but not one of torch.save")
        self._prefix = names[0].removesuffix("data.pkl")
        if self._prefix + "byteorder" in self._archive.namelist():
            self._check_byte_order(self._zip_record("byteorder").decode())
        return self._unpickle(io.BytesIO(self._zip_record("data.pkl")))

    def _zip_record(self, name: str) -> bytearray:
        assert self._archive is not None
        info = self._archive.getinfo(self._prefix + name)
        if info.compress_type != zipfile.ZIP_STORED:  # torch never compresses; a small file could fill the memory
            raise CheckpointError(f"{self.path} is not a file of torch.save: {info.filename} is compressed")
        with self._archive.open(info) as record:
            return bytearray(record.read())

    def _zip_storage(self, key: str) -> bytearray:
        return self._zip_record(f"data/{key}")

    # Before torch 1.6

    def _read_old(self) -> Any:
        self._file.seek(0)
        magic = self._unpickle(self._file)
        protocol = self._unpickle(self._file)
        if magic != _OLD_MAGIC or protocol != _OLD_PROTOCOL:
            raise CheckpointError(f"{self.path} is a pickle, but not one of torch.save")
        system = self._unpickle(self._file)
        self._check_byte_order("little" if system["little_endian"] else "big")
        unpickler = _OldUnpickler(self._file)
        content = unpickler.load()
        self.unknown |= unpickler.unknown
        num_file_bytes = self.path.stat().st_size
        for key in self._unpickle(self._file):
            (num_items,) = struct.unpack("<q", self._file.read(8))
            num_bytes = num_items * unpickler.item_bytes[str(key)]
            self._places[str(key)] = (self._file.tell(), num_bytes)
            if not 0 <= self._file.tell() + num_bytes <= num_file_bytes:
                raise EOFError("the numbers of its tensors are not all there")
            self._file.seek(num_bytes, io.SEEK_CUR)
        return content

    def _old_storage(self, key: str) -> bytearray:
        start, num_bytes = self._places[key]
        self._file.seek(start)
        return bytearray(self._file.read(num_bytes))

    def _check_byte_order(self, order: str) -> None:
        if order != sys.byteorder:
            raise CheckpointError(f"{self.path} was written on a {order}-endian machine, and this is not one")


class _OldUnpickler(_Unpickler):
    """Also notes the width of each storage's numbers, which the old format says nowhere else."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.item_bytes: dict[str, int] = {}

    def persistent_load(self, pid: Any) -> Any:
        storage = super().persistent_load(pid)
        if isinstance(storage, _Storage):
            self.item_bytes[storage.key] = _ITEM_BYTES[storage.dtype]
        return storage
