"""Model folders of tasks: what is damaged, foreign or unfinished is refused in clear words, never guessed at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_classifier import LABELS, TEXTS, tiny_classifier
from tiny_models import tiny_model, tiny_tokenizer

import spanbert
from spanbert.checkpoint_saving import save_pretraining_model
from spanbert.errors import CheckpointError
from spanbert.predicting import Predictor
from spanbert.task_checkpoints import load_task_model, new_task_model, save_task_model, stored_task_name
from spanbert.tasks.classification.examples import ClassificationExample


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def edit_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return edit


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = config["spanbert"]["settings"]
    return settings


def truncate(num_bytes: int) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:num_bytes])

    return cut


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing head": (edit_weights(lambda weights: weights.pop("classifier.weight")), r"lacks classifier\.weight"),
    "missing layer": (
        edit_weights(lambda weights: [weights.pop(name) for name in list(weights) if "layer.1" in name]),
        r"lacks bert\.encoder\.layer\.1",
    ),
    "renamed": (
        edit_weights(lambda weights: weights.update(other=weights.pop("classifier.bias"))),
        r"lacks classifier\.bias and has other",
    ),
    "other shape": (
        edit_weights(lambda weights: weights.update({"classifier.bias": torch.zeros(5)})),
        r"classifier\.bias has the shape \[5\] and its configuration means \[3\]",
    ),
    "whole numbers": (
        edit_weights(lambda weights: weights.update({"classifier.bias": torch.zeros(3, dtype=torch.int32)})),
        r"classifier\.bias is stored as i32, not as float",
    ),
    "cut weights": (truncate(5000), r"model\.safetensors is damaged"),
    "empty weights": (truncate(0), r"model\.safetensors is damaged"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "neither model.safetensors nor"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "half a config": (lambda folder: (folder / "config.json").write_text("{"), "is not JSON"),
    "no vocabulary": (
        lambda folder: [(folder / name).unlink() for name in ("vocab.txt", "tokenizer.json")],
        "neither tokenizer.json nor vocab.txt",
    ),
    "newer": (edit_config(lambda config: config["spanbert"].update(format=99)), r"newer version.*format 99.*--upgrade"),
    "odd format": (edit_config(lambda config: config["spanbert"].update(format="1")), "its 'format' is no int"),
    "other task": (edit_config(lambda config: config["spanbert"].update(task="ner")), "settings .* are unknown"),
    "no such task": (edit_config(lambda config: config["spanbert"].update(task="chess")), "no task 'chess'"),
    "no task": (edit_config(lambda config: config["spanbert"].update(task=None)), "its 'task' is no str"),
    "plain bert": (edit_config(lambda config: config.pop("spanbert")), r"not fine-tuned .*no head is made up"),
    "a list": (edit_config(lambda config: config["spanbert"].update(settings=[])), "its 'settings' is no dict"),
    "unknown setting": (edit_config(lambda config: settings_of(config).update(colour=1)), "colour are unknown"),
    "setting of words": (
        edit_config(lambda config: settings_of(config).update(max_length="long")),
        "settings in config.json are damaged: max_length is 'long'",
    ),
    "lost label": (edit_config(lambda config: settings_of(config)["labels"].pop()), r"the shape \[3, 32\]"),
    "other width": (edit_config(lambda config: config.update(hidden_size=64)), "do not belong together"),
    "width of words": (edit_config(lambda config: config.update(hidden_size="x")), "config.json is not that of"),
    "odd heads": (edit_config(lambda config: config.update(num_attention_heads=3)), "3 attention heads"),
    "long windows": (edit_config(lambda config: settings_of(config).update(max_length=25)), "its position table 24"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_refused(name: str, folder: Path) -> None:
    damage, message = DAMAGES[name]
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        spanbert.load(folder, device="cpu", precision="fp32", golden="skip")


def test_other_pieces_or_weights_show_in_the_golden_answers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))
    spanbert.load(folder, device="cpu", precision="fp32")
    edit_weights(lambda weights: weights["classifier.weight"].neg_())(folder)
    with pytest.raises(CheckpointError, match="no longer gives the answers"):
        spanbert.load(folder, device="cpu", precision="fp32")


def test_a_model_of_no_task_has_no_answers(encoder_folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"not fine-tuned for any task.*spanbert finetune TASK"):
        spanbert.load(encoder_folder)
    with pytest.raises(CheckpointError, match="is no folder or file here"):
        spanbert.load("no-such-model")


def test_the_task_of_a_folder(folder: Path, encoder_folder: Path, tmp_path: Path) -> None:
    assert stored_task_name(folder) == "classification"
    assert stored_task_name(encoder_folder) is None
    assert stored_task_name(tmp_path / "nowhere") is None


def test_settings_of_an_older_version_get_their_defaults(folder: Path) -> None:
    edit_config(lambda config: settings_of(config).pop("quotes"))(folder)
    assert load_task_model(folder)[1].settings.quotes == "auto"


def test_weights_in_16_bits_are_computed_in_32(folder: Path) -> None:
    edit_weights(lambda weights: weights.update({name: value.half() for name, value in weights.items()}))(folder)
    model, _, _ = load_task_model(folder)
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_a_pretrained_start_loses_no_head_that_anybody_expects(folder: Path, tmp_path: Path) -> None:
    save_pretraining_model(tiny_model(), tiny_tokenizer(tmp_path / "vocabulary"), tmp_path / "base")
    task = load_task_model(folder)[1]
    _, _, report = new_task_model(task, tmp_path / "base")
    assert (report.notes, report.task) == ((), None)


def test_what_a_fine_tuned_model_knows_can_be_the_start_of_another(folder: Path, tmp_path: Path) -> None:
    _, task, tokenizer = load_task_model(folder)
    other = task.learn([ClassificationExample(id=text, text=text, label=text) for text in TEXTS[:2]])
    model, _, report = new_task_model(other, folder, seed=3)
    again, _, _ = new_task_model(other, folder, seed=3)
    assert model.state_dict()["classifier.weight"].shape == (2, 32)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    before = load_file(folder / "model.safetensors")
    assert all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items() if name.startswith("bert.")
    )
    assert not [name for name in report.new if name.startswith("bert.")]
    assert report.notes == ("its head, trained for classification, is not used: the new one begins at random",)
    save_task_model(model, other, tokenizer, tmp_path / "other")
    loaded = Predictor(*load_task_model(tmp_path / "other"), device="cpu", precision="fp32")
    [prediction] = loaded.predict([ClassificationExample(id="1", text=TEXTS[0])])
    assert prediction.label in TEXTS
    assert prediction.label not in LABELS
