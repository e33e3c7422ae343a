"""Files of torch.save, read as data: the same numbers as torch reads, and nothing executed."""

from __future__ import annotations

import argparse
import builtins
import os
import pickle
import sys
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert import torch_files
from spanbert.errors import CheckpointError
from spanbert.torch_files import StandIn, StoredTensor, TorchFile

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool]


def save(content: object, path: Path, zipped: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def read_all(path: Path) -> dict[str, torch.Tensor]:
    with TorchFile(path) as file:
        return {name: file.read(stored).clone() for name, stored in file.content.items()}


@FORMATS
def test_tensors_of_every_kind_are_read_as_torch_reads_them(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24).reshape(4, 6)
    tensors = {str(dtype): (base % 7).to(dtype) for dtype in DTYPES}
    shared = torch.randn(5, 4)
    tensors |= {
        "whole": shared,
        "rows": shared[1:3],
        "transposed": shared.t(),
        "column": shared[:, 2],
        "expanded": shared[:1].expand(3, 4),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }
    read = read_all(save(OrderedDict(tensors), tmp_path / "file.pt", zipped))
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor.detach())


@FORMATS
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_views_of_one_storage(tmp_path_factory: pytest.TempPathFactory, zipped: bool, data: st.DataObject) -> None:
    base = torch.randn(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)), dtype=torch.float16)
    views = {}
    for number in range(data.draw(st.integers(1, 4))):
        rows = data.draw(st.slices(base.shape[0]).filter(lambda s: s.step is None or s.step > 0))
        view = base[rows]
        views[str(number)] = view.t() if data.draw(st.booleans()) else view
    path = save(views, tmp_path_factory.mktemp("views") / "file.pt", zipped)
    for name, tensor in read_all(path).items():
        assert torch.equal(tensor, views[name])


# Nothing is executed


class Payload:
    """Unpickled the ordinary way, it runs code that leaves the file `marker`."""

    def __init__(self, kind: str, marker: Path) -> None:
        self.kind = kind
        self.marker = marker

    def __reduce__(self) -> Any:
        python = f"open({str(self.marker)!r}, 'w').close()"
        return {
            "os.system": (os.system, (f"touch '{self.marker}'",)),
            "eval": (eval, (python,)),
            "exec": (exec, (python,)),
            "setstate": (Trap, (), {"marker": self.marker}),
            "items": (Trap, (), None, iter([self.marker])),
            "keys": (Trap, (), None, None, iter([(self.marker, 1)])),
            "getattr": (builtins.getattr, (_Touch(self.marker), "now")),
        }[self.kind]


class _Touch:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    @property
    def now(self) -> None:
        self.marker.touch()


class Trap:
    """A class whose every way of being unpickled has an effect."""

    def __setstate__(self, state: dict[str, Path]) -> None:
        state["marker"].touch()

    def append(self, marker: Path) -> None:
        marker.touch()

    def extend(self, markers: list[Path]) -> None:
        for marker in markers:
            marker.touch()

    def __setitem__(self, marker: Path, value: int) -> None:
        marker.touch()


@FORMATS
@pytest.mark.parametrize("kind", ["os.system", "eval", "exec", "setstate", "items", "keys", "getattr"])
def test_nothing_in_the_pickle_is_executed(tmp_path: Path, kind: str, zipped: bool) -> None:
    marker = tmp_path / "executed"
    path = save({"weight": torch.ones(2), "evil": Payload(kind, marker)}, tmp_path / "file.pt", zipped)
    torch.load(path, weights_only=False)
    assert marker.exists(), "the payload is harmless, and this test shows nothing"
    marker.unlink()
    with TorchFile(path) as file:
        assert file.read(file.content["weight"]).tolist() == [1.0, 1.0]
        assert isinstance(file.content["evil"], StandIn)
        assert file.unknown
    assert not marker.exists()


def test_modules_named_in_the_pickle_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "imported"
    (tmp_path / "module_with_an_effect.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass A: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    pickled = b"cmodule_with_an_effect\nA\n)\x81."
    pickle.loads(pickled)
    assert marker.exists()
    marker.unlink()
    del sys.modules["module_with_an_effect"]
    with TorchFile(zip_with(tmp_path / "file.pt", pickled)) as file:
        assert isinstance(file.content, StandIn)
    assert not marker.exists()
    assert "module_with_an_effect" not in sys.modules


def zip_with(path: Path, pickled: bytes, **records: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in records.items():
            archive.writestr(f"archive/{name}", content)
    return path


def push(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


SYSTEM = b"\x80\x04\x8c\x02os\x8c\x06system\x93"
ATTRIBUTE = b"}X\x06\x00\x00\x00appendK\x01s"  # {"append": 1}
REBUILD = push("torch._utils", "_rebuild_tensor_v2")

# Two kinds: calls by every way that a pickle has, and changes to what everything else is made of.
INERT = {
    "REDUCE": push("os", "system") + b"X\x05\x00\x00\x00never\x85R.",
    "INST": b"(S'never'\nios\nsystem\n.",
    "OBJ": b"(" + push("os", "system") + b"S'never'\no.",
    "NEWOBJ": push("os", "system") + b"X\x05\x00\x00\x00never\x85\x81.",
    "STACK_GLOBAL": SYSTEM + b"\x8c\x05never\x85R.",
    "NEWOBJ_EX": SYSTEM + b"\x8c\x05never\x85}\x92.",
    "a dotted name": b"\x80\x04\x8c\x02os\x8c\x0fsystem.__call__\x93\x8c\x05never\x85R.",
    "a persistent id": b"\x80\x02X\x06\x00\x00\x00moduleQ.",
    "attributes of a dict": push("collections", "OrderedDict") + b")RN" + ATTRIBUTE + b"\x86b.",
}
REFUSED = {
    "attributes of a stand-in's class": push("os", "system") + b"N" + ATTRIBUTE + b"\x86b.",
    "attributes of the tensor function": REBUILD + b"N" + ATTRIBUTE + b"\x86b.",
    "state of the tensor function": REBUILD + ATTRIBUTE + b"b.",
    "attributes of the class of dicts": push("collections", "OrderedDict") + b"N" + ATTRIBUTE + b"\x86b.",
    "attributes of a storage type": push("torch", "FloatStorage") + b"N" + ATTRIBUTE + b"\x86b.",
    "a call of a storage type": push("torch", "FloatStorage") + b")R.",
    "a tensor of no storage": REBUILD + b"(K\x00K\x00))\x89NtR.",
    "an extension code": b"\x80\x02\x82\x01.",
    "nothing": b"",
    "no end": b"\x80\x02}X\x05\x00",
}


@pytest.mark.parametrize("name", [*INERT, *REFUSED])
def test_a_hostile_pickle_is_inert_or_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(os, "system", called.append)
    with TorchFile(save({"a": torch.ones(1)}, tmp_path / "good.pt", zipped=True)) as file:
        sealed = [StandIn, StoredTensor, type(file.content), *torch_files._KNOWN.values()]
    before = [dict(vars(cls)) for cls in sealed if isinstance(cls, type)]
    path = zip_with(tmp_path / "file.pt", (INERT | REFUSED)[name])
    if name in INERT:
        with TorchFile(path) as file:
            assert isinstance(file.content, (StandIn, dict))
    else:
        with pytest.raises(CheckpointError, match=r"file\.pt"):
            TorchFile(path)
    assert not called
    assert [dict(vars(cls)) for cls in sealed if isinstance(cls, type)] == before


def test_a_tensor_that_exceeds_its_storage_is_refused(tmp_path: Path) -> None:
    path = save({"weight": torch.ones(4)}, tmp_path / "file.pt", zipped=True)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("file/data.pkl")
        numbers = archive.read("file/data/0")
    shape = pickled.index(b"K\x04\x85")  # the tuple (4,)
    forged = pickled[: shape + 1] + b"\x09" + pickled[shape + 2 :]
    with TorchFile(zip_with(tmp_path / "forged.pt", forged, **{"data/0": numbers})) as file:
        assert file.content["weight"].shape == (9,)
        with pytest.raises(CheckpointError, match="exceeds its storage"):
            file.read(file.content["weight"])


@FORMATS
def test_objects_of_unknown_classes_keep_their_state(tmp_path: Path, zipped: bool) -> None:
    content = {"args": argparse.Namespace(layers=3), "meters": defaultdict(list, a=[1]), "dtype": torch.float16}
    with TorchFile(save(content, tmp_path / "file.pt", zipped)) as file:
        assert file.content["args"].state == {"layers": 3}
        assert isinstance(file.content["meters"], StandIn)
        assert "argparse.Namespace" in file.unknown


# Damage


@FORMATS
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, zipped: bool) -> None:
    whole = save({"a": torch.ones(3, 5), "b": torch.ones(7)}, tmp_path / "file.pt", zipped).read_bytes()
    cut = tmp_path / "cut.pt"
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pt"):
            read_all(cut)


def test_a_changed_number_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = save({"a": torch.full((64,), 1.25)}, tmp_path / "file.pt", zipped=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(torch.full((3,), 1.25).numpy().tobytes(), b"x" * 12, 1))
    with pytest.raises(CheckpointError, match="damaged"):
        read_all(path)


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x80\x02K\x01.", pickle.dumps({"a": 1})])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"file\.pt"):
        TorchFile(path)


def test_other_zip_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(CheckpointError, match=r"not one of torch\.save"):
        TorchFile(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"." * 10_000)
    with pytest.raises(CheckpointError, match="compressed"):
        TorchFile(path)
