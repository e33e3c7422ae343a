"""Fine-tuned models stored as what differs from a base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_classifier import TEXTS
from tiny_package import save_base, save_tuned
from transformers import AutoModelForSequenceClassification

import spanbert
from spanbert.checkpoint_sources import Source, TensorEntry, load_tokenizer, open_source
from spanbert.convert import ConvertConfig, run
from spanbert.errors import CheckpointError, ConfigurationError
from spanbert.golden import GOLDEN_FILE
from spanbert.info import describe
from spanbert.key_maps import HUGGING_FACE
from spanbert.model_differences import DIFFERENCE_FILE, WHOLE_FILE, split_by_base
from spanbert.task_checkpoints import load_task_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    save_tuned(folder / "tuned", save_base(folder / "base"))
    return folder


@pytest.fixture
def models(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `base` and `tuned`, a classifier fine-tuned from it, its embeddings frozen."""
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "models")
    return tmp_path / "models"


def convert(source: Path, output: Path, **options: Any) -> Path:
    assert run(ConvertConfig(source=str(source), output=output, quiet=True, **options)) == 0
    return output


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_task_model(folder)[0].state_dict())


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def answers(folder: Path) -> list[Any]:
    predictor = spanbert.load(folder, device="cpu", precision="fp32")  # which compares with the stored answers
    return [prediction.to_json() for prediction in predictor.predict(TEXTS)]


def base_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))["spanbert"]["base"])


@pytest.mark.parametrize("half_precision", [None, "fp16", "bf16"])
@pytest.mark.parametrize("half_base", [False, True])
def test_a_difference_is_the_model_that_a_whole_folder_is(models: Path, half_precision: Any, half_base: bool) -> None:
    base = models / "base"
    if half_base and half_precision:
        base = convert(base, models / "half-base", half_precision=half_precision)
    small = convert(models / "tuned", models / "small", half_precision=half_precision, base=str(base))
    stored = load_file(small / DIFFERENCE_FILE)
    assert not [name for name in stored if name.startswith("bert.embeddings.")]
    assert {f"bert.encoder.layer.{n}.attention.self.query.weight" for n in (0, 1)} <= stored.keys()
    tuned, whole = (
        state_of(models / "tuned"),
        state_of(convert(models / "tuned", models / "w", half_precision=half_precision)),
    )
    found = state_of(small)
    expected = whole if base.name == "half-base" else whole | {name: tuned[name] for name in base_of(small)["tensors"]}
    assert_same(found, expected)
    again = convert(small, models / "again")
    assert_same(state_of(again), found)
    assert answers(again) == answers(small)
    assert "base" not in json.loads((again / "config.json").read_text())["spanbert"]
    assert (again / "README.md").read_text() == "# A classifier\n"
    assert "the tensors that `" in (small / "README.md").read_text()


def test_plain_transformers_refuses_a_difference_and_opens_it_made_whole(models: Path) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(small)
    whole = convert(small, models / "whole")
    _, loading = AutoModelForSequenceClassification.from_pretrained(whole, output_loading_info=True)
    assert not loading["missing_keys"]
    ours = spanbert.SpanBertModel.from_pretrained(small)
    for name, value in state_of(whole).items():
        if name.startswith("bert."):
            assert torch.equal(ours.state_dict()[name.removeprefix("bert.")], value)


def test_what_transformers_saves_of_an_opened_difference_is_whole(models: Path) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    model = load_task_model(small)[0]
    for number, one in enumerate((model, type(model).from_pretrained(small))):
        folder = models / str(number)
        one.save_pretrained(folder)
        load_tokenizer(small).save(folder)
        assert_same(state_of(folder), state_of(small))


def test_stored_answers_travel(models: Path) -> None:
    text = (models / "tuned" / GOLDEN_FILE).read_text(encoding="utf-8")
    exact = convert(models / "tuned", models / "exact", base=str(models / "base"))
    assert (exact / GOLDEN_FILE).read_text(encoding="utf-8") == text
    half = convert(models / "tuned", models / "half", half_precision="bf16")
    rounded = (half / GOLDEN_FILE).read_text(encoding="utf-8")
    assert rounded != text
    assert [one["input"] for one in json.loads(rounded)["examples"]] == [
        one["input"] for one in json.loads(text)["examples"]
    ]
    answers(half)
    content = json.loads(text)
    content["examples"][0]["prediction"]["label"] = "another"
    (models / "tuned" / GOLDEN_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match="no longer gives the answers"):
        convert(models / "tuned", models / "other", half_precision="fp16")
    (models / "tuned" / GOLDEN_FILE).unlink()
    assert not (convert(models / "tuned", models / "without", half_precision="fp16") / GOLDEN_FILE).exists()


def test_a_difference_moves_with_its_base(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = convert(models / "tuned", models / "deep" / "small", base=str(models / "base"))
    assert base_of(small)["name"] == "../base"
    models.rename(tmp_path / "elsewhere")
    monkeypatch.chdir("/")
    state_of(tmp_path / "elsewhere" / "deep" / "small")


def test_a_base_is_found_by_its_name_here(models: Path, tmp_path: Path) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    expected = state_of(small)
    (tmp_path / "alone").mkdir()
    small.rename(tmp_path / "alone" / "small")
    with pytest.raises(CheckpointError, match="holds only what differs from its base base, and that cannot be opened"):
        state_of(tmp_path / "alone" / "small")
    shutil.copytree(models / "base", tmp_path / "base")
    assert_same(state_of(tmp_path / "alone" / "small"), expected)


def test_another_base_is_an_error(models: Path) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    state_of(small)
    path = models / "base" / WHOLE_FILE
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    for ask in (load_task_model, describe, spanbert.SpanBertModel.from_pretrained):
        with pytest.raises(CheckpointError, match="is another model than it was made with"):
            ask(small)


def test_what_cannot_be_a_base_is_refused(models: Path) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    with pytest.raises(CheckpointError, match="itself stored as the difference"):
        convert(models / "tuned", models / "other", base=str(small))
    with pytest.raises(CheckpointError, match="is the base itself"):
        convert(models / "tuned", models / "base", base=str(models / "base"), overwrite=True)
    (models / "base" / WHOLE_FILE).rename(models / "base" / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        convert(models / "tuned", models / "other", base=str(models / "base"))
    for options in ({"tokenizer": "vocab.txt"}, {"num_heads": 2}):
        with pytest.raises(ConfigurationError, match="not for fine-tuned models"):
            convert(models / "tuned", models / "other", **options)
    assert not (models / "other").exists()


def test_a_pretrained_model_has_no_base(models: Path) -> None:
    with pytest.raises(ConfigurationError, match="--base is for fine-tuned models"):
        convert(models / "base", models / "other", base=str(models / "base"))


def test_a_fine_tuned_model_becomes_plain_bert_only_when_asked(models: Path) -> None:
    plain = convert(models / "tuned", models / "plain", plain_bert=True)
    assert "spanbert" not in json.loads((plain / "config.json").read_text())
    assert describe(convert(models / "tuned", models / "whole"))["task"] == "classification"


def test_a_model_changes_its_form_in_its_own_place(models: Path) -> None:
    expected = state_of(models / "tuned")
    convert(models / "tuned", models / "tuned", base=str(models / "base"), overwrite=True)
    assert not (models / "tuned" / WHOLE_FILE).exists()
    assert_same(state_of(models / "tuned"), expected)
    convert(models / "tuned", models / "tuned", overwrite=True)
    assert not (models / "tuned" / DIFFERENCE_FILE).exists()
    assert_same(state_of(models / "tuned"), expected)


def test_a_difference_can_be_fine_tuned_on(models: Path) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    from_small, from_whole = (
        spanbert.load_pretraining_model(folder)[0].bert.state_dict() for folder in (small, models / "tuned")
    )
    names = [name for name in from_whole if not name.startswith("pooler.")]
    assert all(torch.equal(from_small[name], from_whole[name]) for name in names)


@pytest.mark.parametrize(
    "damage",
    [
        lambda base: base.pop("sha256"),
        lambda base: base.update(tensors=3),
        lambda base: base.update(tensors=[3]),
        lambda base: base.update(name=None),
        lambda base: base["tensors"].append("bert.nothing"),
        lambda base: base["tensors"].append("classifier.weight"),
    ],
)
def test_a_damaged_description_of_the_base_is_an_error(models: Path, damage: Any) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    path = small / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    damage(config["spanbert"]["base"])
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        state_of(small)


def test_a_difference_without_its_file_is_an_error(models: Path) -> None:
    small = convert(models / "tuned", models / "small", base=str(models / "base"))
    (small / DIFFERENCE_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"lacks difference\.safetensors"), open_source(small):
        pass


_NUMBERS = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=4)


@given(_NUMBERS, _NUMBERS, st.sampled_from([torch.float32, torch.float16, torch.bfloat16]), st.booleans())
def test_every_tensor_comes_back_as_it_was_or_as_it_would_be_stored(
    one: list[float], other: list[float], dtype: torch.dtype, is_half_base: bool
) -> None:
    values = {"bert.a": torch.tensor(one), "bert.b": torch.tensor(other), "head": torch.tensor(one)}
    stored = {name: value.to(dtype) for name, value in values.items()}
    of_base = {"bert.a": torch.tensor(one), "bert.b": torch.tensor(one)}
    of_base = {name: value.to(dtype if is_half_base else torch.float32) for name, value in of_base.items()}
    entries = {
        name: TensorEntry(tuple(value.shape), "float32", lambda value=value: value)  # type: ignore[misc]
        for name, value in of_base.items()
    }
    to_store, shared = split_by_base(values, stored, Source("base", "", {}, HUGGING_FACE, entries))
    assert to_store.keys() | shared.keys() == values.keys()
    assert not to_store.keys() & shared.keys()
    assert "bert.a" in shared
    assert ("bert.b" in shared) >= (one == other)
    for name, value in (to_store | shared).items():
        assert torch.equal(value.float(), values[name]) or torch.equal(value.float(), stored[name].float())
    for name, value in shared.items():
        assert torch.equal(value, of_base[name].float())
