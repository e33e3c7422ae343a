"""Models that come as packages, from a tiny one that is installed for the test; the real one is not needed."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_classifier import TEXTS
from tiny_models import IDS, assert_close, our_logits
from tiny_package import BASE, SIBLING, install, pack_script, save_base, save_tuned
from transformers import AutoModel

import spanbert
from spanbert import cli, durable_files
from spanbert.checkpoint_sources import load_tokenizer, open_source, resolve_name
from spanbert.checkpoints import load_pretraining_model
from spanbert.errors import CheckpointError, SpanBertError
from spanbert.finetuning.config import FinetuneFilesConfig
from spanbert.golden import GOLDEN_FILE
from spanbert.info import describe
from spanbert.shipped_models import DEFAULT_MODEL, OUR_MODELS, is_shipped, shipped_folder
from spanbert.task_checkpoints import load_task_model
from spanbert.task_options import task_of_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and a model that is fine-tuned from it, in fp32."""
    folder = tmp_path_factory.mktemp("models")
    save_tuned(folder / "tuned", save_base(folder / "base"))
    return folder


@pytest.fixture(scope="module")
def site(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they are installed, for tests that change nothing there."""
    site = tmp_path_factory.mktemp("site")
    install(site, models / "base", models / "tuned")
    return site


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to work in, and a cache of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def package(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed package; not to be changed."""
    monkeypatch.syspath_prepend(str(site))
    return site / "tiny_weights"


@pytest.fixture
def own_package(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installed package that the test may change."""
    shutil.copytree(site, tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site" / "tiny_weights"


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package announces a model, whatever is installed."""
    entry_points = importlib.metadata.entry_points

    def without_models(**asked: str) -> Any:
        return () if asked.get("group") == "spanbert.models" else entry_points(**asked)

    monkeypatch.setattr("importlib.metadata.entry_points", without_models)


# Names


def test_a_name_becomes_a_folder_wherever_models_are_named(package: Path) -> None:
    assert shipped_folder(BASE) == package / BASE
    assert resolve_name(BASE) == str(package / BASE)
    assert load_pretraining_model(BASE, require_heads=True)[0].config.hidden_size == 32
    assert spanbert.PieceTokenizer.load(BASE).fingerprint == load_tokenizer(BASE).fingerprint
    assert task_of_model(SIBLING) == "classification"
    assert spanbert.load(SIBLING, device="cpu", precision="fp32").predict(TEXTS[0]).label
    assert describe(BASE)["heads"] == ["masked pieces", "span boundaries"]
    assert describe(SIBLING)["stored_as"] == ["float16"]
    assert is_shipped(package / BASE)
    assert not list(package.glob("*/README.md")), "the package has one card, and those of runs name folders"


def test_other_names_are_none(package: Path, models: Path) -> None:
    for name in ("bert-base-cased", "spanbert-base-cased", "someone/spanbert-mini-en", "", str(package / BASE)):
        assert shipped_folder(name) is None
    assert not is_shipped(models / "base")
    shutil.copytree(models / "base", "mine")
    for other in ("no JSON", '{"files": {"data.txt": {"size": 1, "sha256": ""}}}', '{"files": 3}'):
        Path("checksums.json").write_text(other, encoding="utf-8")
        assert not is_shipped(Path("mine"))


def test_a_folder_of_that_name_here_wins(package: Path, models: Path) -> None:
    shutil.copytree(models / "tuned", BASE)
    assert resolve_name(BASE) == BASE
    assert task_of_model(BASE) == "classification"


@pytest.mark.usefixtures("not_installed")
@pytest.mark.parametrize("name", OUR_MODELS)
def test_a_model_that_is_not_installed_says_what_to_install(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for ask in (load_tokenizer, spanbert.load, spanbert.SpanBertModel.from_pretrained, load_pretraining_model):
        with pytest.raises(CheckpointError, match=rf"{name} is not installed.*pip install 'spanbert\[model\]'"):
            ask(name)
    assert cli.main(["info", name]) == 1
    assert "pip install ./models/spanbert-mini-en" in capsys.readouterr().err


def test_a_model_that_the_installed_package_does_not_hold_says_to_upgrade(
    own_package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announced = own_package.parent / "spanbert_mini_en-0.1.0.dist-info" / "entry_points.txt"
    announced.write_text(f"[spanbert.models]\n{BASE} = {own_package.name}\n", encoding="utf-8")
    message = "the installed spanbert-mini-en 0.1.0 does not hold the model spanbert-mini-en-ner: a later version may: "
    with pytest.raises(CheckpointError, match=f"{re.escape(message)}pip install ./models/spanbert-mini-en in a newer"):
        spanbert.load(SIBLING)
    assert cli.main(["info", f"{BASE}-qa"]) == 1
    assert "not installed" not in capsys.readouterr().err
    assert shipped_folder(BASE) == own_package / BASE


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("misspelt", ["spanbert-mini-en-nre", "spanbert_mini_en_ner", "Spanbert-mini-en-ner"])
def test_a_misspelt_name_is_answered_with_the_one_that_is_meant(
    misspelt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for ask in (load_tokenizer, spanbert.load, spanbert.SpanBertModel.from_pretrained, load_pretraining_model):
        with pytest.raises(CheckpointError, match=rf"no model '{misspelt}': did you mean 'spanbert-mini-en-ner'\?"):
            ask(misspelt)
    assert cli.main(["info", misspelt]) == 1
    assert "did you mean 'spanbert-mini-en-ner'?" in capsys.readouterr().err
    with pytest.raises(OSError, match="huggingface"):  # as in transformers
        spanbert.SpanBertModel.from_pretrained("some-other-model")


@pytest.mark.usefixtures("not_installed")
def test_without_a_model_the_default_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert FinetuneFilesConfig(train=Path("train"), output=Path("out")).model == DEFAULT_MODEL
    (tmp_path / "train.csv").write_text("text,label\nGood.,a\nBad.,b\nFine.,a\nPoor.,b\n" * 5, encoding="utf-8")
    for words in (
        ["finetune", "classification", "--train", str(tmp_path / "train.csv"), "--output", str(tmp_path / "out")],
        ["fill", "The capital of [MASK] is Paris."],
    ):
        assert cli.main(words) == 1
        assert f"{DEFAULT_MODEL} is not installed" in capsys.readouterr().err
    sklearn = pytest.importorskip("sklearn")
    assert sklearn
    assert spanbert.TextClassifier().model == DEFAULT_MODEL


@pytest.mark.usefixtures("package")
def test_fill_takes_a_first_word_with_a_mask_for_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fill", "the capital of [MASK] is Paris", "Paris is [MASK]", "--json", "--device", "cpu"]) == 0
    default = capsys.readouterr().out
    assert len(default.splitlines()) == 2
    words = ["fill", BASE, "the capital of [MASK] is Paris", "Paris is [MASK]", "--json", "--device", "cpu"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == default
    assert cli.main(["fill", "The capital of France is Paris."]) == 1
    assert "text 1: error: the text has no [MASK]" in capsys.readouterr().err


@pytest.mark.usefixtures("package")
def test_finetune_begins_with_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(
        f"{'the ' * number}capital of France {word},{word}\n" for number in range(10) for word in ("is", "and")
    )
    (tmp_path / "train.csv").write_text("text,label\n" + rows, encoding="utf-8")
    options = {"max_length": 16, "stride": 4, "steps": 2, "device": "cpu", "precision": "fp32", "dev_share": 0.2}
    result = spanbert.finetune(
        "classification", train=tmp_path / "train.csv", output=tmp_path / "out", freeze_embeddings=True, **options
    )
    told = capsys.readouterr().err
    assert f"starting from {DEFAULT_MODEL}" in told
    assert "is not used" not in told, "nobody expects its heads to answer"
    before, after = (load_file(folder / "model.safetensors") for folder in (Path(resolve_name(BASE)), result.output))
    same = {name for name, value in after.items() if name in before and torch.equal(before[name].float(), value)}
    assert {name for name in after if name.startswith("bert.embeddings.")} <= same
    assert not [name for name in same if name.endswith("dense.weight")]


# Damage


@pytest.mark.parametrize("file", [f"{BASE}/model.safetensors", f"{BASE}/config.json", f"{SIBLING}/{GOLDEN_FILE}"])
@pytest.mark.parametrize("damage", ["a bit", "cut", "gone"])
def test_a_damaged_file_is_named(own_package: Path, file: str, damage: str) -> None:
    path = own_package / file
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        middle = len(content) // 2
        damaged = content[:middle] + (
            bytes([content[middle] ^ 1]) + content[middle + 1 :] if damage == "a bit" else b""
        )
        path.write_bytes(damaged)
    with pytest.raises(
        CheckpointError, match=r"--force-reinstall --no-deps \./models/spanbert-mini-en in a clone"
    ) as caught:
        spanbert.load(file.partition("/")[0])
    assert str(path) in str(caught.value)


def test_a_damaged_base_is_named_when_a_sibling_is_opened(own_package: Path) -> None:
    path = own_package / BASE / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(
        CheckpointError, match=r"what differs from its base .*model\.safetensors is damaged: install spanb"
    ):
        spanbert.load(SIBLING)


@pytest.mark.parametrize("damage", ["no JSON", "[]", '{"files": {"spanbert-mini-en/config.json": {}}}', None])
def test_damaged_checksums_are_an_error(own_package: Path, damage: str | None) -> None:
    path = own_package / "checksums.json"
    path.unlink()
    if damage is not None:
        path.write_text(damage, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"checksums\.json is missing or damaged"):
        shipped_folder(BASE)


def test_an_announced_model_that_is_not_there_is_an_error(own_package: Path) -> None:
    with pytest.raises(CheckpointError, match=f"announces the model {BASE}-qa and does not hold it"):
        shipped_folder(f"{BASE}-qa")
    shutil.rmtree(own_package)
    with pytest.raises(CheckpointError, match="the package tiny_weights of the model"):
        shipped_folder(BASE)


def test_each_file_is_read_once_a_process_to_be_checked(own_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    hash_file = durable_files.hash_file
    monkeypatch.setattr(durable_files, "hash_file", lambda path: (hashed.append(path), hash_file(path))[1])
    for _ in range(3):
        load_task_model(SIBLING)
        load_tokenizer(SIBLING)
    own = {path.resolve() for path in (own_package / SIBLING).iterdir()}
    weights_of_base = (own_package / BASE / "model.safetensors").resolve()
    assert sorted(hashed) == sorted(own | {weights_of_base})


# Stored answers


def test_accepted_answers_are_not_written_into_the_package(own_package: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in own_package.rglob("*") if path.is_file()}
    predictor = spanbert.load(SIBLING, device="cpu", precision="fp32", golden="accept")
    assert predictor.predict(TEXTS[0]).label
    [accepted] = (tmp_path / "cache" / "golden").glob("accepted-*.json")
    spanbert.load(SIBLING, device="cpu", precision="fp32")  # compares with the accepted ones
    content = json.loads(accepted.read_text(encoding="utf-8"))
    content["examples"][0]["prediction"]["label"] = "another"
    accepted.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match="no longer gives the answers"):
        spanbert.load(SIBLING, device="cpu", precision="fp32")
    assert {path: path.read_bytes() for path in own_package.rglob("*") if path.is_file()} == before


# From Python


@pytest.mark.parametrize("name", [BASE, SIBLING])
def test_the_encoder_opens_by_name(package: Path, name: str) -> None:
    encoder = spanbert.SpanBertModel.from_pretrained(name)
    with open_source(name) as source:
        for key, value in encoder.state_dict().items():
            if f"bert.{key}" in source.tensors:
                assert torch.equal(value, source.tensors[f"bert.{key}"].read().float()), key
    assert {value.dtype for value in encoder.parameters()} == {torch.float32}
    if name == BASE:
        theirs = AutoModel.from_pretrained(package / BASE)
        with torch.no_grad():
            assert_close(encoder(IDS).last_hidden_state, theirs(IDS).last_hidden_state)


@pytest.mark.usefixtures("package")
def test_the_pretraining_model_opens_by_name() -> None:
    model, info = spanbert.SpanBertForPreTraining.from_pretrained(BASE, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert torch.equal(our_logits(model), our_logits(load_pretraining_model(BASE)[0]))


def test_a_configuration_alone_still_makes_a_model() -> None:
    state = {"pooler.dense.bias": torch.ones(8)}
    config = spanbert.SpanBertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=0, num_attention_heads=1, intermediate_size=8
    )
    model = spanbert.SpanBertModel.from_pretrained(None, config=config, state_dict=state)
    assert model.pooler is not None
    assert torch.equal(model.pooler.dense.bias, torch.ones(8))


# Packing


def test_packing_refuses_what_is_too_large_or_not_announced(
    models: Path, own_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = pack_script()
    before = sorted(own_package.parent.rglob("*"))
    with pytest.raises(SpanBertError, match="announces no spanbert-mini-en-sentiment"):
        pack.pack(models / "base", {"sentiment": models / "tuned"}, own_package)
    monkeypatch.setattr(pack, "MOST_BYTES", 1000)
    with pytest.raises(SpanBertError, match="0 MB are the most"):
        pack.pack(models / "base", {"ner": models / "tuned"}, own_package)
    assert sorted(own_package.parent.rglob("*")) == before


def test_packing_again_replaces_all_models(models: Path, own_package: Path) -> None:
    assert list(pack_script().pack(models / "base", {"qa": models / "tuned"}, own_package)) == [BASE, f"{BASE}-qa"]
    assert shipped_folder(f"{BASE}-qa") == own_package / f"{BASE}-qa"
    with pytest.raises(CheckpointError, match="does not hold it"):
        shipped_folder(SIBLING)


@pytest.mark.parametrize("name", OUR_MODELS)
def test_the_real_models_open(name: str) -> None:
    try:
        folder = shipped_folder(name)
    except CheckpointError as error:
        if not re.search("is not installed here|does not hold the model", str(error)):
            raise
        pytest.skip(str(error))
    assert folder is not None
    if name == DEFAULT_MODEL:
        load_pretraining_model(name, require_heads=True)
    else:
        spanbert.load(name, device="cpu")
