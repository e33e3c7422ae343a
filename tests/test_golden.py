from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_task import FakeExample, FakePredictor
from safetensors.torch import load_file, save_file
from tiny_classifier import tiny_classifier

import spanbert.golden
from spanbert.errors import CheckpointError, InputError
from spanbert.golden import GOLDEN_FILE, check_golden, make_golden, read_golden_inputs
from spanbert.loading import load
from spanbert.predicting import Predictor

EXAMPLES = [FakeExample("1", "short"), FakeExample("2", "a longer text, with 漢字 and 🚀")]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder, as far as it matters here."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / GOLDEN_FILE).write_text(make_golden(FakePredictor(), EXAMPLES), encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_the_same_model_passes_and_is_asked_once(folder: Path) -> None:
    predictor = FakePredictor()
    assert check_golden(predictor, folder)
    assert predictor.num_scored == len(EXAMPLES)
    assert not check_golden(predictor, folder)
    assert predictor.num_scored == len(EXAMPLES)


@pytest.mark.parametrize("what", ["torch", "precision", "device", "weights", "config"])
def test_each_new_combination_is_checked_again(folder: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    check_golden(FakePredictor(), folder)
    predictor = FakePredictor()
    if what == "torch":
        versions = {**spanbert.golden.versions(), "torch": "9.9"}
        monkeypatch.setattr(spanbert.golden, "versions", lambda: versions)
    elif what == "precision":
        predictor.precision = "bf16"
    elif what == "device":
        predictor.device = SimpleNamespace(type="mps")
    elif what == "weights":
        (folder / "model.safetensors").write_bytes(b"other weights")
    else:
        (folder / "config.json").write_text('{"a": 1}', encoding="utf-8")
    assert check_golden(predictor, folder)
    assert not check_golden(predictor, folder)


def test_changed_scores_are_an_error_that_shows_everything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {**spanbert.golden.versions(), "transformers": "99.0"}
    monkeypatch.setattr(spanbert.golden, "versions", lambda: versions)
    for _ in range(2):  # a failed check is not remembered
        with pytest.raises(CheckpointError) as caught:
            check_golden(FakePredictor(weight=0.2), folder)
    message = str(caught.value)
    then = json.loads((folder / GOLDEN_FILE).read_text(encoding="utf-8"))["examples"][0]["prediction"]
    for part in (
        '{"id": "1", "text": "short"}',
        json.dumps(then),
        "answer now",
        "'pieces' of window 1",
        "-> 99.0",
        "--golden accept",
        "--golden skip",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("precision", "share", "passes"),
    [("fp32", 1e-5, True), ("fp32", 1e-2, False), ("bf16", 1e-2, True), ("bf16", 0.5, False)],
)
def test_what_rounding_does_passes_within_the_precision(
    folder: Path, precision: str, share: float, passes: bool
) -> None:
    predictor = FakePredictor(weight=0.1 * (1 + share), precision=precision)
    if passes:
        assert check_golden(predictor, folder)
    else:
        with pytest.raises(CheckpointError, match=r"is tolerated"):
            check_golden(predictor, folder)


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_an_error(folder: Path, weight: float) -> None:
    with pytest.raises(CheckpointError, match="differ by inf"):
        check_golden(FakePredictor(weight=weight), folder)


def test_other_pieces_are_an_error_whatever_the_scores(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"7 then, 7 now; the first other one is number 1, '\\x02' then, '\\x03'"):
        check_golden(FakePredictor(shift=1), folder)


def test_another_decoder_or_setting_is_an_error_with_the_same_scores(folder: Path) -> None:
    predictor = FakePredictor()
    predictor.task.settings = SimpleNamespace(labels=("short", "long"), threshold=0.99)
    with pytest.raises(CheckpointError, match="the scores are the same, but they are now decoded to"):
        check_golden(predictor, folder)


def test_changed_answers_can_be_accepted_or_skipped(folder: Path) -> None:
    predictor = FakePredictor(weight=0.2)
    assert not check_golden(predictor, folder, "skip")
    assert check_golden(predictor, folder, "accept")
    assert check_golden(predictor, folder)
    (folder / "model.safetensors").write_bytes(b"the old weights")
    with pytest.raises(CheckpointError):
        check_golden(FakePredictor(), folder)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_model_without_stored_answers_passes(folder: Path) -> None:
    (folder / GOLDEN_FILE).unlink()
    assert not check_golden(FakePredictor(weight=3), folder)


@pytest.mark.parametrize("home", ["a file", "read-only"])
def test_a_cache_that_cannot_be_written_only_costs_time(folder: Path, cache: Path, home: str) -> None:
    if home == "a file":
        cache.write_bytes(b"")
    else:
        cache.mkdir(mode=0o500)
        (cache / "golden").symlink_to("/proc/nothing")  # the tests may run as root, whom a mode does not stop
    assert check_golden(FakePredictor(), folder)
    assert check_golden(FakePredictor(), folder)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert spanbert.golden.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("SPANBERT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert spanbert.golden.cache_folder() == tmp_path / "spanbert"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert spanbert.golden.cache_folder() == tmp_path / ".cache" / "spanbert"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: "no JSON",
        lambda content: "[]",
        lambda content: content.replace('"float32": "', '"float32": "!'),
        lambda content: content.replace('"text"', '"txet"'),
        lambda content: content.replace('"precision": "fp32"', '"precision": "fp1"'),
        lambda content: content.replace('"windows"', '"doors"'),
    ],
)
def test_a_damaged_file_is_an_error_and_can_be_skipped(folder: Path, damage: Any) -> None:
    path = folder / GOLDEN_FILE
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(CheckpointError, match="damaged"):
        check_golden(FakePredictor(), folder)
    assert not check_golden(FakePredictor(), folder, "skip")


def test_a_newer_file_is_told(folder: Path) -> None:
    path = folder / GOLDEN_FILE
    path.write_text(path.read_text(encoding="utf-8").replace('"format": 1', '"format": 2'), encoding="utf-8")
    with pytest.raises(CheckpointError, match="newer version"):
        check_golden(FakePredictor(), folder)


def test_inputs_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text('{"id": "a", "text": "x"}\n\n{"text": "y"}\n', encoding="utf-8")
    task: Any = FakePredictor().task
    assert read_golden_inputs(task, path) == [FakeExample("a", "x"), FakeExample("3", "y")]
    for content, message in [("", "no input"), ("{}", r"line 1: \"text\""), ("\nx", "line 2: not JSON")]:
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_golden_inputs(task, path)
    with pytest.raises(InputError, match="too long"):
        make_golden(FakePredictor(), [FakeExample("long", "x" * 300_000)])


# With a model


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return tiny_classifier(tmp_path / "classifier")


def spoil_weights(folder: Path) -> None:
    """Change one tensor of many, as a damaged disk or a library that reads it otherwise would."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["bert.encoder.layer.1.attention.output.dense.weight"] *= 1.1
    save_file(tensors, path, metadata={"format": "pt"})


def spoil_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    pieces = state["model"]["vocab"]
    pieces["Paris"], pieces["capital"] = pieces["capital"], pieces["Paris"]
    path.write_text(json.dumps(state), encoding="utf-8")


def spoil_settings(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["spanbert"]["settings"]["labels"].reverse()
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_weights, "the scores 'labels' of window 1 differ"),
        (spoil_tokenizer, "the text is cut into other word pieces"),
        (spoil_settings, "but they are now decoded to"),
    ],
)
def test_a_spoilt_model_is_refused(model_folder: Path, spoil: Any, message: str) -> None:
    load(model_folder, device="cpu", precision="fp32")
    spoil(model_folder)
    with pytest.raises(CheckpointError, match=message):
        load(model_folder, device="cpu", precision="fp32")
    load(model_folder, device="cpu", precision="fp32", golden="skip")
    load(model_folder, device="cpu", precision="fp32", golden="accept")
    load(model_folder, device="cpu", precision="fp32")


def test_a_second_load_computes_nothing(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(model_folder, device="cpu", precision="fp32")
    monkeypatch.setattr(Predictor, "score", None)
    load(model_folder, device="cpu", precision="fp32")
