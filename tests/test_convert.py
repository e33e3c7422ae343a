"""`spanbert convert`: everything in, plain BERT out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import IDS, assert_close, our_logits, save_bert, save_original, tiny_bert, tiny_model, tiny_tokenizer
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertForPreTraining, BertModel

from spanbert.checkpoints import load_pretraining_model, load_tokenizer, save_pretraining_model
from spanbert.convert import ConvertConfig, run
from spanbert.errors import CheckpointError, ConfigurationError


def convert(source: Path, output: Path, **options: Any) -> Path:
    assert run(ConvertConfig(source=str(source), output=output, **options)) == 0
    return output


def test_an_original_checkpoint_becomes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_model()
    source = save_original(tmp_path / "checkpoint.pt", model, dtype=torch.float16, zipped=False)
    tokenizer = tiny_tokenizer(tmp_path / "vocabulary")
    with pytest.raises(CheckpointError, match="without a vocabulary"):
        convert(source, tmp_path / "m", num_heads=2)
    for number, vocabulary in enumerate(["vocabulary", "vocabulary/vocab.txt"]):
        folder = convert(source, tmp_path / str(number), num_heads=2, tokenizer=str(tmp_path / vocabulary))
        assert load_tokenizer(folder).fingerprint == tokenizer.fingerprint
    printed = capsys.readouterr()
    assert not printed.out
    assert "0 new" in printed.err
    ours, report = load_pretraining_model(folder, require_heads=True)
    assert not report.unused
    for name, value in ours.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float()), name
    with torch.no_grad():
        assert_close(AutoModelForMaskedLM.from_pretrained(folder)(IDS).logits, our_logits(ours))


@pytest.mark.parametrize("nsp", [False, True])
@pytest.mark.parametrize("half_precision", [None, "bf16"])
def test_ours_becomes_plain_bert(tmp_path: Path, nsp: bool, half_precision: Any) -> None:
    save_pretraining_model(tiny_model(nsp=nsp), tiny_tokenizer(tmp_path / "vocabulary"), tmp_path / "ours")
    folder = convert(tmp_path / "ours", tmp_path / "plain", plain_bert=True, half_precision=half_precision, quiet=True)
    config = json.loads((folder / "config.json").read_text())
    assert "spanbert" not in config
    assert config["dtype"] == "float32"
    model_class = BertForPreTraining if nsp else AutoModelForMaskedLM
    assert config["architectures"] == ["BertForPreTraining" if nsp else "BertForMaskedLM"]
    theirs, loading = model_class.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    with torch.no_grad():
        assert_close(theirs(IDS)[0], our_logits(load_pretraining_model(folder)[0]))
        if half_precision is None:
            assert_close(theirs(IDS)[0], our_logits(load_pretraining_model(tmp_path / "ours")[0]))
    assert AutoTokenizer.from_pretrained(folder)("Paris")["input_ids"][0] == 2


def test_plain_bert_survives_a_trip_through_ours(tmp_path: Path) -> None:
    bert = save_bert(tiny_bert(BertForPreTraining), tmp_path / "bert")
    ours = convert(bert, tmp_path / "ours")
    plain = convert(ours, tmp_path / "plain", plain_bert=True)
    before, after = load_file(bert / "model.safetensors"), load_file(plain / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_heads_that_are_not_there_are_not_made_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bert = save_bert(tiny_bert(BertModel), tmp_path / "bert")
    folder = convert(bert, tmp_path / "ours")
    assert "without the 5 tensors that the source lacks" in capsys.readouterr().err
    _, loading = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    with pytest.raises(CheckpointError, match="none are made up"):
        load_pretraining_model(folder, require_heads=True)


def test_a_vocabulary_that_does_not_fit_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bert = save_bert(tiny_bert(vocab_size=40), tmp_path / "bert")
    convert(bert, tmp_path / "padded")
    assert "the vocabulary has 28 pieces, and the model 40" in capsys.readouterr().err
    bert = save_bert(tiny_bert(vocab_size=20), tmp_path / "small")
    with pytest.raises(CheckpointError, match="not the tokenizer it was trained with"):
        convert(bert, tmp_path / "m")


def test_nothing_but_a_model_is_overwritten(tmp_path: Path) -> None:
    bert = save_bert(tiny_bert(), tmp_path / "bert")
    folder = convert(bert, tmp_path / "m", quiet=True)
    with pytest.raises(ConfigurationError, match="not empty"):
        convert(bert, folder)
    convert(bert, folder, overwrite=True, half_precision="fp16")
    assert load_file(folder / "model.safetensors")["cls.predictions.bias"].dtype == torch.float16
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "note.txt").write_text("keep")
    with pytest.raises(ConfigurationError, match="something else than a model"):
        convert(bert, tmp_path / "vault", overwrite=True)
    with pytest.raises(ConfigurationError, match="is a file"):
        convert(bert, tmp_path / "vault" / "note.txt", overwrite=True)


def test_a_model_can_be_converted_in_its_own_place(tmp_path: Path) -> None:
    bert = save_bert(tiny_bert(), tmp_path / "bert")
    expected = load_file(bert / "model.safetensors")["bert.pooler.dense.weight"].half()
    convert(bert, bert, overwrite=True, half_precision="fp16")
    assert torch.equal(load_file(bert / "model.safetensors")["bert.pooler.dense.weight"], expected)
