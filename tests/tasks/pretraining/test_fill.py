"""`spanbert fill`: texts from the command line and from standard input, for people and as JSON lines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_filling_model import MAX_POSITIONS, tiny_tokenizer, trained_model

from spanbert.checkpoints import save_pretraining_model
from spanbert.cli import main
from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.fill import FillConfig
from spanbert.tasks.pretraining.span_filler import SpanFiller

CAPITAL = "The capital of [MASK] is Paris."
BEIJING = "北[MASK]是中国的[MASK][MASK]。"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model_folder: Path = tmp_path_factory.mktemp("fill") / "model"
    save_pretraining_model(trained_model(), tiny_tokenizer(), model_folder)
    return model_folder


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_a_saved_model_fills_as_the_one_in_memory(folder: Path) -> None:
    in_memory = SpanFiller(trained_model(), tiny_tokenizer(), precision="fp32").fill(BEIJING)
    loaded = SpanFiller.load(folder, device="cpu", precision="fp32").fill(BEIJING)
    assert loaded == in_memory


def test_readable_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fill", str(folder), CAPITAL, BEIJING, "--top-k", "2", "--precision", "fp32"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[:2] == ["The capital of «[MASK]» is Paris.", "  span: characters 15..21, 1 piece"]
    assert lines[3].split()[0] == "1."
    assert lines[3].split()[-1] == "France"
    assert lines[4].startswith("   2.")
    assert lines[5] == "  best: The capital of France is Paris."
    assert "  span 2 of 2: characters 11..23, 2 pieces" in lines
    assert lines[-2:] == ["  best: 北京是中国的首都。", ""]
    assert output.err == ""


def test_json_lines_hold_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", str(folder), "--json", "--top-k", "3", "--precision", "fp32", BEIJING]) == 0
    record = json.loads(capsys.readouterr().out)
    filled = SpanFiller.load(folder, precision="fp32").fill(BEIJING, top_k=3)
    assert (record["line"], record["text"], record["best"]) == (1, BEIJING, filled.best)
    assert [BEIJING[span["start"] : span["end"]] for span in record["spans"]] == ["[MASK]", "[MASK][MASK]"]
    for span, expected in zip(record["spans"], filled.spans, strict=True):
        assert (span["num_pieces"], span["num_pieces_left_out"]) == (expected.num_pieces, 0)
        for candidate, other in zip(span["candidates"], expected.candidates, strict=True):
            assert tuple(candidate["pieces"]) == other.pieces
            assert (candidate["text"], candidate["joins_left"]) == (other.text, other.joins_left)
            assert candidate["probability"] == pytest.approx(other.probability)
            found = (candidate["score"], candidate["mlm_score"], candidate["sbo_score"])
            assert found == pytest.approx((other.score, other.mlm_score, other.sbo_score))


def test_bad_lines_of_a_stream_become_error_records(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [b"\xef\xbb\xbf" + CAPITAL.encode(), b"", b"no mask here", b"caf\xe9 [MASK]", BEIJING.encode() + b"\r"]
    give_stdin(monkeypatch, b"\n".join(lines))
    assert main(["fill", str(folder), "--json", "--top-k", "1"]) == 1
    first, no_mask, bad_byte, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["line"], first["text"], first["best"]) == (1, CAPITAL, "The capital of France is Paris.")
    assert no_mask["line"] == 3
    assert "no [MASK]" in no_mask["error"]
    assert bad_byte == {"line": 4, "error": "byte 3 of the line is not UTF-8: convert the text to UTF-8"}
    assert (last["line"], last["text"], last["best"]) == (5, BEIJING, "北京是中国的首都。")


def test_for_people_errors_go_to_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", str(folder), "of [mask]", CAPITAL]) == 1
    output = capsys.readouterr()
    assert "best: The capital of France is Paris." in output.out
    assert output.err == ("text 1: error: the text has no [MASK]; '[mask]' at character 3 has to be written [MASK]\n")


def test_context_that_is_left_out_is_noted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    num_extra = 5
    text = f"{CAPITAL}{' sea' * (MAX_POSITIONS - 2 - 7 + num_extra)}"
    assert main(["fill", str(folder), text]) == 0
    output = capsys.readouterr()
    assert output.err.startswith(f"text 1: note: it is longer than the model's window: {num_extra} of its pieces")
    assert "characters 15..21" in output.err
    assert main(["fill", str(folder), text, "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert (quiet.out, quiet.err) == (output.out, "")
    assert main(["fill", str(folder), text, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["spans"][0]["num_pieces_left_out"] == num_extra


def test_no_text_at_all(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"\n \n")
    assert main(["fill", str(folder)]) == 1
    assert "there is no text" in capsys.readouterr().err


def test_options_out_of_range() -> None:
    with pytest.raises(ConfigurationError, match="--top-k"):
        FillConfig(model="model", top_k=0)
    with pytest.raises(ConfigurationError, match="--threads"):
        FillConfig(model="model", threads=0)


def test_the_options_do_not_need_torch() -> None:
    code = "import sys, spanbert.tasks.pretraining.fill; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
