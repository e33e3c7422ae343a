"""Loading from anything BERT-like with an account of every tensor, and saving what `transformers` opens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import IDS, PIECES, SIZES, assert_close, our_logits, save_bert, tiny_bert, tiny_model, tiny_tokenizer
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForTokenClassification,
    BertModel,
    RobertaConfig,
)

from spanbert.checkpoints import load_pretraining_model, load_tokenizer, resolve_name, save_pretraining_model
from spanbert.errors import CheckpointError
from spanbert.key_maps import TIED
from spanbert.tasks.pretraining.head import SpanBertForPreTraining


def stored_names(folder: Path) -> set[str]:
    return {name for file in folder.glob("*.safetensors") for name in load_file(file)}


# Loading


@pytest.mark.parametrize(
    "model_class",
    [BertForPreTraining, BertForMaskedLM, BertModel, BertForQuestionAnswering, BertForTokenClassification],
)
def test_every_tensor_of_any_bert_is_accounted_for(tmp_path: Path, model_class: Any) -> None:
    bert = tiny_bert(model_class)
    folder = save_bert(bert, tmp_path / "bert")
    model, report = load_pretraining_model(folder, sbo_positions=9, nsp=False)
    ours = {name for name in model.state_dict() if name not in TIED}
    assert report.loaded.keys() | report.unused.keys() == stored_names(folder)
    assert not report.loaded.keys() & report.unused.keys()
    assert {*report.loaded.values(), *report.new} == ours
    assert not set(report.loaded.values()) & set(report.new)
    assert all(reason in str(report) for reason in report.unused.values())
    assert all(name in str(report) for name in [*report.new, *report.unused])
    encoder = bert if model_class is BertModel else bert.bert
    with torch.no_grad():
        assert_close(model.bert(IDS).last_hidden_state, encoder(IDS).last_hidden_state)
    if model_class in (BertForPreTraining, BertForMaskedLM):
        with torch.no_grad():
            assert_close(our_logits(model), bert(IDS)[0])
    heads = {"cls.seq_relationship", "qa_outputs", "classifier"}
    assert {name.rpartition(".")[0] for name in report.unused} <= heads
    assert bool(report.unused) == (model_class not in (BertForMaskedLM, BertModel))


def test_heads_are_kept_as_the_source_has_them(tmp_path: Path) -> None:
    model, report = load_pretraining_model(save_bert(tiny_bert(), tmp_path / "bert"))
    assert model.cls.sbo is None
    assert model.cls.seq_relationship is not None
    assert not report.new
    assert not report.unused


def test_the_position_table_keeps_its_size(tmp_path: Path) -> None:
    save_pretraining_model(tiny_model(sbo_positions=7), tiny_tokenizer(tmp_path), tmp_path / "ours")
    model, report = load_pretraining_model(tmp_path / "ours", sbo_positions=20)
    assert model.cls.sbo is not None
    assert len(model.cls.sbo.position_embeddings.weight) == model.config.spanbert["sbo_positions"] == 7
    assert "keeps its 7 positions; 20 were asked for" in str(report)
    without, report = load_pretraining_model(tmp_path / "ours", sbo_positions=0)
    assert without.cls.sbo is None
    assert set(report.unused.values()) == {"the model is made without a span boundary head"}


def test_new_parts_depend_on_the_seed_and_nothing_else(tmp_path: Path) -> None:
    folder = save_bert(tiny_bert(BertModel), tmp_path / "bert")
    states = []
    for before, seed in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(before)
        expected = torch.Generator().manual_seed(before)
        model, report = load_pretraining_model(folder, sbo_positions=20, seed=seed)
        states.append({name: model.state_dict()[name] for name in report.new})
        assert torch.equal(torch.rand(3), torch.rand(3, generator=expected))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["cls.sbo.linear1.weight"], states[2]["cls.sbo.linear1.weight"])
    assert states[0]["cls.sbo.linear1.weight"].std().item() == pytest.approx(0.02, rel=0.1)
    assert states[0]["cls.sbo.layer_norm1.weight"].tolist() == [1.0] * 32
    assert not states[0]["cls.sbo.bias"].any()
    assert not states[0]["cls.predictions.transform.dense.bias"].any()


def test_pickled_and_sharded_weights(tmp_path: Path) -> None:
    bert = tiny_bert()
    folder = save_bert(bert, tmp_path / "bert")
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    (folder / "model.safetensors").unlink()

    torch.save(state, folder / "pytorch_model.bin")
    assert_close(our_logits(load_pretraining_model(folder)[0]), bert(IDS)[0])

    shards = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for file, part in shards.items():
        save_file({name: state[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in shards.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model, report = load_pretraining_model(folder)
    assert report.loaded.keys() == state.keys()
    assert_close(our_logits(model), bert(IDS)[0])

    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-00002-of-00002"):
        load_pretraining_model(folder)


def test_constants_and_stored_ties_of_old_files(tmp_path: Path) -> None:
    bert = tiny_bert(BertForMaskedLM)
    folder = save_bert(bert, tmp_path / "bert")
    state = {name: value.clone() for name, value in bert.state_dict().items()}
    del state["cls.predictions.bias"]  # only under its other name, as some files have it
    state["bert.embeddings.position_ids"] = torch.arange(24)[None]
    save_file(state, folder / "model.safetensors")
    model, report = load_pretraining_model(folder, require_heads=True)
    assert report.unused == {"bert.embeddings.position_ids": "a constant, not a weight"}
    assert report.new == ("bert.pooler.dense.weight", "bert.pooler.dense.bias")
    assert report.loaded["cls.predictions.decoder.weight"] == "bert.embeddings.word_embeddings.weight"
    assert_close(our_logits(model), bert(IDS)[0])


def test_a_missing_head_is_refused_by_name_where_it_is_needed(tmp_path: Path) -> None:
    folder = save_bert(tiny_bert(BertForQuestionAnswering), tmp_path / "bert")
    with pytest.raises(CheckpointError, match=r"cls\.predictions\.bias, cls\.predictions\.transform\.dense\.weight"):
        load_pretraining_model(folder, require_heads=True)
    save_pretraining_model(tiny_model(), tiny_tokenizer(tmp_path), tmp_path / "ours")
    state = load_file(tmp_path / "ours" / "model.safetensors")
    damaged = {name: value for name, value in state.items() if not name.startswith("cls.sbo.")}
    save_file(damaged, tmp_path / "ours" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"cls\.sbo\.position_embeddings\.weight"):
        load_pretraining_model(tmp_path / "ours", require_heads=True)


def test_an_incomplete_encoder_is_always_refused(tmp_path: Path) -> None:
    folder = save_bert(tiny_bert(), tmp_path / "bert")
    state = load_file(folder / "model.safetensors")
    del state["bert.encoder.layer.1.output.dense.bias"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks bert\.encoder\.layer\.1\.output\.dense\.bias"):
        load_pretraining_model(folder)


def test_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = save_bert(tiny_bert(), tmp_path / "bert")
    change_config(folder, vocab_size=30)
    with pytest.raises(CheckpointError, match=r"word_embeddings\.weight has the shape \[28, 32\] .* \[30, 32\]"):
        load_pretraining_model(folder)


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (RobertaConfig().to_dict(), r"model_type is 'roberta'. Supported are BERT encoders only"),
        ({"is_decoder": True}, "encoder"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"hidden_act": "unheard_of"}, "unheard_of"),
        ({"num_attention_heads": 5}, "5 attention heads do not divide"),
        ({"hidden_size": "wide"}, "not a BERT configuration"),
        ({"spanbert": {"format": 99}}, "newer version"),
        ({"spanbert": "yes"}, "not an object"),
    ],
)
def test_configurations_that_are_not_supported(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    folder = save_bert(tiny_bert(), tmp_path / "bert")
    change_config(folder, **fields)
    with pytest.raises(CheckpointError, match=message):
        load_pretraining_model(folder)


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_pretraining_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not JSON"):
        load_pretraining_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(SIZES))
    (tmp_path / "tf_model.h5").touch()
    with pytest.raises(CheckpointError, match=r"tf_model\.h5 is of another framework"):
        load_pretraining_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load_pretraining_model(tmp_path)
    with pytest.raises(CheckpointError, match="give its folder"):
        load_pretraining_model(tmp_path / "model.safetensors")


# The hub


def test_short_names_are_names_of_the_hub() -> None:
    assert resolve_name("spanbert-base-cased") == "SpanBERT/spanbert-base-cased"
    assert resolve_name("spanbert-large-cased") == "SpanBERT/spanbert-large-cased"
    assert resolve_name("./my-model") == "./my-model"


@pytest.mark.parametrize("name", ["spanbert-base-cased", "no-such/model", "./no/such/folder"])
def test_without_a_network_the_error_says_how_to_bring_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for load in (load_pretraining_model, load_tokenizer):
        with pytest.raises(CheckpointError, match=r"hf download .* --local-dir .* bring the folder") as caught:
            load(name)
        assert resolve_name(name) in str(caught.value)


def test_a_name_of_the_hub_is_fetched_without_what_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert = tiny_bert()
    save_bert(bert, tmp_path / "hub")
    torch.save(load_file(tmp_path / "hub" / "model.safetensors"), tmp_path / "hub" / "pytorch_model.bin")
    (tmp_path / "hub" / "model.safetensors").unlink()

    def snapshot_download(name: str, *, allow_patterns: list[str]) -> str:
        assert name == "SpanBERT/spanbert-base-cased"
        (tmp_path / "cache").mkdir(exist_ok=True)
        for pattern in allow_patterns:
            for file in (tmp_path / "hub").glob(pattern):
                shutil.copy(file, tmp_path / "cache")
        return str(tmp_path / "cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert load_tokenizer("spanbert-base-cased").vocab_size == len(PIECES)
    assert not (tmp_path / "cache" / "pytorch_model.bin").exists()
    (tmp_path / "hub" / "pytorch_model.bin").rename(tmp_path / "out of reach")
    with pytest.raises(CheckpointError, match="hf download"):
        load_pretraining_model("spanbert-base-cased")
    (tmp_path / "out of reach").rename(tmp_path / "hub" / "pytorch_model.bin")
    assert_close(our_logits(load_pretraining_model("spanbert-base-cased")[0]), bert(IDS)[0])


def test_a_vocabulary_file_of_its_own(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").rename(tmp_path / "cased-vocab.txt")
    assert load_tokenizer(tmp_path / "cased-vocab.txt").fingerprint == tokenizer.fingerprint
    (tmp_path / "other.txt").write_text("one\ntwo\n")
    with pytest.raises(CheckpointError, match=r"other\.txt lacks \[PAD\]"):
        load_tokenizer(tmp_path / "other.txt")


# Saving


@pytest.mark.parametrize("half_precision", [None, "fp16", "bf16"])
@pytest.mark.parametrize("nsp", [False, True])
def test_a_saved_folder_opens_in_transformers_with_the_same_numbers(
    tmp_path: Path, nsp: bool, half_precision: Any
) -> None:
    model = tiny_model(nsp=nsp)
    save_pretraining_model(
        model, tiny_tokenizer(tmp_path / "vocabulary"), tmp_path / "m", half_precision=half_precision
    )
    ours, report = load_pretraining_model(tmp_path / "m", require_heads=True)
    assert not report.new
    assert not report.unused
    dtype = {None: torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[half_precision]
    for name, value in ours.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[name].to(dtype).float())
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["dtype"] == "float32"
    assert config["architectures"] == ["BertForPreTraining" if nsp else "BertForMaskedLM"]
    assert config["spanbert"] == {"format": 1, "task": "pretraining", "sbo_positions": 7, "nsp": nsp}
    assert {value.dtype for value in load_file(tmp_path / "m" / "model.safetensors").values()} == {dtype}
    classes = [AutoModelForMaskedLM, AutoModel] + [BertForPreTraining] * nsp
    for model_class in classes:
        theirs, loading = model_class.from_pretrained(tmp_path / "m", output_loading_info=True)
        assert not loading["missing_keys"]
        assert not loading["mismatched_keys"]
        assert {parameter.dtype for parameter in theirs.parameters()} == {torch.float32}
        with torch.no_grad():
            if model_class is AutoModel:
                assert_close(theirs(IDS).pooler_output, ours.bert(IDS).pooler_output)
            else:
                assert_close(theirs(IDS)[0], our_logits(ours))
            if model_class is BertForPreTraining:
                assert_close(theirs(IDS)[1], ours.cls.seq_relationship(ours.bert(IDS).pooler_output))


def test_the_saved_tokenizer_opens_in_transformers(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path / "vocabulary")
    save_pretraining_model(tiny_model(), tokenizer, tmp_path / "m")
    text = "The capital of France is Paris."
    ids = AutoTokenizer.from_pretrained(tmp_path / "m")(text)["input_ids"]
    assert ids[1:-1] == tokenizer.encode(text).ids.tolist()
    assert load_tokenizer(tmp_path / "m").fingerprint == tokenizer.fingerprint


def test_save_pretrained_and_from_pretrained_work_too(tmp_path: Path) -> None:
    model = tiny_model(nsp=True)
    model.save_pretrained(tmp_path / "m")
    again = SpanBertForPreTraining.from_pretrained(tmp_path / "m")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    assert not load_pretraining_model(tmp_path / "m", require_heads=True)[1].new
    with torch.no_grad():
        assert_close(AutoModelForMaskedLM.from_pretrained(tmp_path / "m")(IDS)[0], our_logits(model))


def test_what_was_made_up_can_be_left_out(tmp_path: Path) -> None:
    folder = save_bert(tiny_bert(BertModel), tmp_path / "bert")
    model, report = load_pretraining_model(folder, sbo_positions=4)
    save_pretraining_model(model, load_tokenizer(folder), tmp_path / "ours", leave_out=report.new)
    assert stored_names(tmp_path / "ours") == {f"bert.{name}" for name in stored_names(folder)}
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["architectures"] == ["BertModel"]
    assert config["spanbert"]["sbo_positions"] == 0
    _, loading = AutoModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]


def test_saving_fails_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer(tmp_path / "vocabulary")

    def disk_full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    save_pretraining_model(model, tokenizer, tmp_path / "there")
    before = {file.name: file.read_bytes() for file in (tmp_path / "there").iterdir()}
    monkeypatch.setattr(type(tokenizer), "save", disk_full)
    with torch.no_grad():
        model.cls.predictions.bias += 1
    for name in ("new", "there"):
        with pytest.raises(OSError, match="No space"):
            save_pretraining_model(model, tokenizer, tmp_path / name)
    assert {file.name: file.read_bytes() for file in (tmp_path / "there").iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["there", "vocabulary"]


def test_saving_over_a_model_replaces_its_files_and_keeps_others(tmp_path: Path) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer(tmp_path / "vocabulary")
    save_pretraining_model(model, tokenizer, tmp_path / "m", extra_files={"README.md": "first\n"})
    (tmp_path / "m" / "run.json").write_text("{}")
    with torch.no_grad():
        model.cls.predictions.bias += 1
    save_pretraining_model(model, tokenizer, tmp_path / "m")
    assert torch.equal(load_pretraining_model(tmp_path / "m")[0].cls.predictions.bias, model.cls.predictions.bias)
    assert (tmp_path / "m" / "README.md").read_text() == "first\n"
    assert (tmp_path / "m" / "run.json").exists()


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path / "vocabulary")
    model = tiny_model()
    with torch.no_grad():
        model.cls.predictions.bias[3] = 1e6
    with pytest.raises(CheckpointError, match=r"cls\.predictions\.bias holds numbers beyond the range of fp16"):
        save_pretraining_model(model, tokenizer, tmp_path / "m", half_precision="fp16")
    with pytest.raises(CheckpointError, match="the vocabulary has 28 pieces and the model 20"):
        save_pretraining_model(tiny_model(vocab_size=20), tokenizer, tmp_path / "m")
    assert not (tmp_path / "m").exists()
