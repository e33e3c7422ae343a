from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_task import FakeExample, FakePredictor
from safetensors.torch import load_file, save_file
from tiny_classifier import tiny_classifier

import spanbert.golden
from spanbert.errors import CheckpointError, InputError
from spanbert.golden import GOLDEN_FILE, check_golden, make_golden, read_golden_inputs
from spanbert.loading import load
from spanbert.predicting import Predictor
from spanbert.task_checkpoints import load_task_model

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


class RoundingPredictor(FakePredictor):
    """Its scores are off by a share in one precision only."""

    off: str
    share: float

    def _scored(self, item: Any) -> Any:
        self.weight = 0.1 * (1 + self.share * (self.precision == self.off))
        return super()._scored(item)


@pytest.mark.parametrize(
    ("precision", "off", "share", "passes"),
    [
        ("fp32", "fp32", 1e-5, True),
        ("fp32", "fp32", 1e-2, False),
        ("bf16", "bf16", 1e-2, True),
        ("bf16", "bf16", 0.5, False),
        ("bf16", "fp32", 1e-2, False),  # what bf16 would hide shows in fp32
    ],
)
def test_what_rounding_does_passes_within_the_precision(
    folder: Path, precision: str, off: str, share: float, passes: bool
) -> None:
    predictor = RoundingPredictor(precision=precision)
    predictor.off, predictor.share = off, share
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


def test_a_model_without_stored_answers_passes_with_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / GOLDEN_FILE).unlink()
    assert not check_golden(FakePredictor(weight=3), folder)
    assert "warning: " in (err := capsys.readouterr().err)
    assert f"{folder} has no golden.json" in err
    assert not check_golden(FakePredictor(), folder, "skip")
    assert capsys.readouterr().err == ""


def test_answers_are_stored_in_fp32_whatever_the_model_is_run_in() -> None:
    predictor = RoundingPredictor(precision="bf16")
    predictor.off, predictor.share = "bf16", 0.1
    stored = json.loads(make_golden(predictor, EXAMPLES))
    assert stored["made_with"]["precision"] == "fp32"
    assert stored["examples"] == json.loads(make_golden(FakePredictor(), EXAMPLES))["examples"]
    assert predictor.precision == "bf16"


def test_the_difference_is_shown_however_late_in_an_answer_it_stands(folder: Path) -> None:
    path = folder / GOLDEN_FILE
    examples = [FakeExample("1", "a long text " * 200)]
    stored = make_golden(FakePredictor(), examples)
    content = json.loads(stored)
    content["examples"][0]["prediction"]["text"] = "a long text " * 150 + "a short text " + "a long text " * 49
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        check_golden(FakePredictor(), folder)
    then, now = (line for line in str(caught.value).splitlines() if line.startswith("  answer "))
    assert "a short text" in then
    assert "a short text" not in now
    assert max(len(then), len(now)) < 400
    assert "... " in now


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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_noise_of_two_per_cent_on_every_matrix_shows_in_every_precision(model_folder: Path, precision: str) -> None:
    def predictor() -> Predictor[Any, Any]:
        made = Predictor(*load_task_model(model_folder), device="cpu", precision="fp32")
        made.precision = precision  # bf16 in software: slow, and the same numbers
        return made

    assert check_golden(predictor(), model_folder)
    weights = load_file(model_folder / "model.safetensors")
    torch.manual_seed(0)
    noisy = {
        name: value + 0.02 * value.std() * torch.randn_like(value)
        for name, value in weights.items()
        if value.dim() == 2
    }
    save_file(weights | noisy, model_folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"and 0\.001 is tolerated"):
        check_golden(predictor(), model_folder)


def test_a_second_load_computes_nothing(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(model_folder, device="cpu", precision="fp32")
    monkeypatch.setattr(Predictor, "score", None)
    load(model_folder, device="cpu", precision="fp32")


def test_stored_answers_are_in_fp32_whatever_the_predictor_computes_in(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path / "model")
    made = []
    for precision in ("fp32", "auto"):  # bf16 where the processor has it
        model, task, tokenizer = load_task_model(folder)
        predictor = Predictor(model, task, tokenizer, device="cpu", precision=precision)
        example = task.example_from_text("the capital of France is Paris .", "1")
        list(predictor.predict([example]))
        made.append(make_golden(predictor, [example]))
    assert made[0] == made[1]
