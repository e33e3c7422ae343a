"""Training checkpoints of the original release and tarballs of 2019."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import PIECES, SIZES, original_state, save_original, tiny_bert, tiny_model
from transformers import BertModel

from spanbert.checkpoints import load_pretraining_model, load_tokenizer
from spanbert.errors import CheckpointError
from spanbert.key_maps import HUGGING_FACE_2019


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_an_original_checkpoint_gives_the_model_that_it_was_made_of(
    tmp_path: Path, zipped: bool, dtype: torch.dtype
) -> None:
    model = tiny_model(sbo_positions=5)
    path = save_original(tmp_path / "checkpoint.pt", model, dtype=dtype, zipped=zipped, encoder_attention_heads=2)
    loaded, report = load_pretraining_model(path, require_heads=True)
    assert not report.new
    assert not report.unused
    assert report.loaded.keys() == original_state(model).keys()
    assert "attention heads: 2 (from its args)" in str(report)
    assert "tiny_models.Meter" in str(report)
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[name].to(dtype).float()), name
    for key, size in SIZES.items():
        assert getattr(loaded.config, key) == size


def test_attention_heads_are_given_or_of_the_usual_width(tmp_path: Path) -> None:
    path = save_original(tmp_path / "narrow.pt", tiny_model())
    with pytest.raises(CheckpointError, match="give --num-heads"):
        load_pretraining_model(path)
    with pytest.raises(CheckpointError, match=r"3 attention heads .* do not divide"):
        load_pretraining_model(path, num_heads=3)
    assert load_pretraining_model(path, num_heads=4)[0].config.num_attention_heads == 4
    wide = save_original(tmp_path / "wide.pt", tiny_model(hidden_size=128))
    loaded, report = load_pretraining_model(wide)
    assert loaded.config.num_attention_heads == 2
    assert "128 / 64" in str(report)


def test_a_head_of_the_original_that_is_not_asked_for_is_listed(tmp_path: Path) -> None:
    path = save_original(tmp_path / "checkpoint.pt", tiny_model())
    loaded, report = load_pretraining_model(path, sbo_positions=0, num_heads=2)
    assert loaded.cls.sbo is None
    assert {name.split(".")[2] for name in report.unused} == {"pair_target_predictions"}
    assert len(report.unused) == 11


def test_an_untied_output_layer_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    state = original_state(tiny_model())
    state["decoder.cls.predictions.decoder.weight"] = state["decoder.cls.predictions.decoder.weight"] + 1
    torch.save({"model": state}, tmp_path / "checkpoint.pt")
    _, report = load_pretraining_model(tmp_path / "checkpoint.pt", num_heads=2)
    assert list(report.unused) == ["decoder.cls.predictions.decoder.weight"]
    with pytest.raises(CheckpointError, match="is not tied"):
        load_pretraining_model(tmp_path / "checkpoint.pt", num_heads=2, require_heads=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weight": torch.ones(2)}, r"holds the tensors of a model and no configuration"),
        ({"epoch": 3}, "not a dict with the key 'model'"),
        ([1, 2], "not a dict with the key 'model'"),
        ({"model": {"decoder.bert.pooler.dense.bias": torch.ones(2)}}, "word_embeddings.weight"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=message):
        load_pretraining_model(tmp_path / "other.pt")


def test_a_checkpoint_with_code_in_it_is_loaded_and_the_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch '{tmp_path / 'executed'}'",)

    content = {"args": Evil(), "model": original_state(tiny_model()), "extra_state": {"a": Evil()}}
    torch.save(content, tmp_path / "checkpoint.pt")
    loaded, report = load_pretraining_model(tmp_path / "checkpoint.pt", num_heads=2)
    assert torch.equal(loaded.cls.predictions.bias, tiny_model().cls.predictions.bias)
    assert "posix.system" in str(report)
    assert not (tmp_path / "executed").exists()


def tarball(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def weights_of_2019(bert: torch.nn.Module) -> bytes:
    file = io.BytesIO()
    state = OrderedDict((HUGGING_FACE_2019.to_theirs(name), value) for name, value in bert.state_dict().items())
    torch.save(state, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def test_a_tarball_of_2019(tmp_path: Path) -> None:
    bert = tiny_bert()
    files = {
        "./pytorch_model.bin": weights_of_2019(bert),
        "./bert_config.json": json.dumps(SIZES | {"hidden_act": "gelu"}).encode(),
        "./vocab.txt": "\n".join(PIECES).encode(),
        "./../outside.txt": b"not unpacked",
    }
    path = tarball(tmp_path / "model.tar.gz", files)
    loaded, report = load_pretraining_model(path)
    assert not report.new
    assert not report.unused
    assert any(name.endswith("LayerNorm.gamma") for name in report.loaded)
    for name, value in bert.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert load_tokenizer(path).vocab_size == len(PIECES)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.tar.gz"]


def test_a_tarball_of_a_bare_encoder_without_vocabulary(tmp_path: Path) -> None:
    bert = tiny_bert(BertModel)
    path = tarball(
        tmp_path / "model.tar.gz",
        {"config.json": json.dumps(SIZES).encode(), "pytorch_model.bin": weights_of_2019(bert)},
    )
    loaded, report = load_pretraining_model(path)
    assert torch.equal(loaded.bert.pooler.dense.weight, bert.pooler.dense.weight)
    assert all(name.startswith("cls.") for name in report.new)
    with pytest.raises(CheckpointError, match="--tokenizer"):
        load_tokenizer(path)
    with pytest.raises(CheckpointError, match=r"cls\.predictions\.bias.*none are made up"):
        load_pretraining_model(path, require_heads=True)


def test_damaged_tarballs_are_refused(tmp_path: Path) -> None:
    path = tarball(tmp_path / "model.tar.gz", {"a/config.json": b"{}", "b/config.json": b"{}"})
    with pytest.raises(CheckpointError, match="two models"):
        load_pretraining_model(path)
    path = tarball(tmp_path / "other.tar.gz", {"readme.txt": b"text"})
    with pytest.raises(CheckpointError, match="holds no model"):
        load_pretraining_model(path)
    whole = tarball(tmp_path / "cut.tar.gz", {"pytorch_model.bin": os.urandom(5000)}).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[:3000])
    with pytest.raises(CheckpointError, match="cannot be unpacked"):
        load_pretraining_model(tmp_path / "cut.tar.gz")
