"""What `spanbert info` says of an ablation's folder: finished, running, stopped, damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spanbert.cli import main
from spanbert.durable_files import locked
from spanbert.errors import CheckpointError
from spanbert.info import describe


def test_a_finished_ablation(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(finished), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described == describe(finished)
    assert (described["kind"], described["status"]) == ("ablation", "finished")
    assert described["runs"] == {"done": 12, "asked_for": 12}
    assert described["rows"]["spans-sbo"]["encoders"] == {"done": 2, "asked_for": 2}
    assert described["tasks"]["Which kind?"] == {
        "task": "classification", "metric": "accuracy", "models": {"done": 4, "asked_for": 4},
    }  # fmt: skip
    assert described["size"] == {"layers": 1, "width": 32, "attention_heads": 2}
    assert main(["info", str(finished)]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["pieces-nsp", "1 of 1 pre-trained: single pieces + NSP"] in lines
    assert ["Entities", "4 of 4 fine-tuned: ner, f1"] in lines
    assert ["size", "1 layer x 32, 2 attention heads"] in lines
    assert ["pre-training", "2 steps of 4 blocks of at most 64 pieces, adamw at 0.0005"] in lines
    assert lines[-1] == ["table", str(finished / "README.md")]


def test_an_unfinished_ablation_says_how_far_it_is(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    shutil.copy(finished / "ablation.json", output)
    described = describe(output)
    assert (described["runs"]["done"], described["table"]) == (0, None)
    assert main(["info", str(output)]) == 0
    assert ["table", "none"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    shutil.copytree(finished, output, dirs_exist_ok=True)
    (output / "rows/spans-sbo/seed-1/pretraining/measured.json").unlink()
    (output / "rows/spans-sbo/seed-1/tasks/which-kind/measured.json").unlink()
    described = describe(output)
    assert described["status"] == "unfinished: the same command goes on"
    assert described["runs"] == {"done": 10, "asked_for": 12}
    assert described["rows"]["spans-sbo"]["encoders"] == {"done": 1, "asked_for": 2}
    assert described["tasks"]["Entities"]["models"]["done"] == 4
    assert described["tasks"]["Which kind?"]["models"]["done"] == 3
    with locked(output / "rows/spans-sbo/seed-1/.lock"):
        assert describe(output)["status"] == "running"


@pytest.mark.parametrize("text", ["{", "[]", '{"options": {}, "tasks": {}, "versions": {}, "corpus": ""}'])
def test_a_damaged_record_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "ablation.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"ablation\.json is damaged, or of an earlier version"):
        describe(tmp_path)


def test_a_record_without_its_options_is_named(tmp_path: Path) -> None:
    record = {"options": {}, "tasks": {}, "versions": {}, "corpus": "", "asked_for": {"rows": {}, "tasks": []}}
    (tmp_path / "ablation.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"ablation\.json is damaged \(KeyError\('size'\)\)"):
        describe(tmp_path)


def test_it_is_described_without_torch(finished: Path) -> None:
    program = (
        "import sys; from spanbert.info import InfoConfig, run; run(InfoConfig(path=sys.argv[1]));"
        "assert not {'torch', 'transformers', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program, str(finished)], check=True, capture_output=True)
