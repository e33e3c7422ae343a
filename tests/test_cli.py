"""The command line: verbs, errors, configuration files, and what must not be imported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import tyro

import spanbert
from spanbert.cli import VERBS, main
from spanbert.errors import ConfigurationError
from spanbert.options import build_options, parse_options


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"  {name} " in shown
        assert verb.summary in shown


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: spanbert {verb}" in shown
    assert "--config" in shown


def test_a_mistyped_verb_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrian"]) == 2
    assert "did you mean 'pretrain'?" in capsys.readouterr().err
    assert main([]) == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("spanbert 0.")


def test_an_error_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", str(tmp_path / "none"), "--output", str(tmp_path / "model"), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("spanbert pretrain: error: ")
    assert "none" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["prepare", "--help"],
        ["pretrain", "--help"],
        ["ablate", "--help"],
        ["fill", "--help"],
        ["sample", "text"],
        ["convert", "--help"],
        ["finetune", "ner", "--help"],
        ["check", "--help"],
        ["check", "relations", "--help"],
        ["score", "question-answering", "--help"],
        ["predict", "--help"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported_before_it_is_needed(words: list[str], tmp_path: Path) -> None:
    program = (
        "import sys; from spanbert.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "sys.exit(', '.join({'torch', 'transformers', 'accelerate', 'matplotlib'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_public_surface_is_exact() -> None:
    for name in spanbert.__all__:
        assert getattr(spanbert, name).__name__ == name
    assert dir(spanbert) == sorted(spanbert.__all__)
    with pytest.raises(AttributeError):
        spanbert.nothing  # noqa: B018


@dataclass(frozen=True, kw_only=True)
class Options:
    """Do a thing.

    With care.
    """

    source: tyro.conf.Positional[Path]
    """What to do
    it to."""

    output: Path
    """Where to."""

    rate: float = 1.0
    """How fast."""

    betas: tuple[float, float] = (0.9, 0.99)
    """Two numbers."""

    loud: bool = False
    """Whether to shout."""

    init_from: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Whence."""


def test_a_configuration_file_gives_values_and_flags_win(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('source = "a"\noutput = "b"\nrate = 2\nbetas = [0.5, 0.6]\nloud = true\nfrom = "z"\n')
    assert parse_options(Options, ["--config", str(file)], program="x") == Options(
        source=Path("a"), output=Path("b"), rate=2.0, betas=(0.5, 0.6), loud=True, init_from="z"
    )
    options = parse_options(Options, ["c", f"--config={file}", "--rate", "3", "--no-loud"], program="x")
    assert options == Options(source=Path("c"), output=Path("b"), rate=3.0, betas=(0.5, 0.6), loud=False, init_from="z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ouput = 'x'", "unknown option 'ouput': did you mean 'output'"),
        ("rate = 'fast'", "rate = 'fast' is not a value"),
        ("betas = [1]", "betas"),
        ("rate = ", "not a TOML file"),
        ("[table]\nrate = 1", "unknown option 'table'"),
    ],
)
def test_a_wrong_configuration_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        parse_options(Options, ["a", "--output", "b", "--config", str(file)], program="x")


def test_a_missing_configuration_file_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read"):
        parse_options(Options, ["--config", "none.toml"], program="x")
    with pytest.raises(ConfigurationError, match="needs the name"):
        parse_options(Options, ["--config"], program="x")


def test_keyword_arguments_give_values_by_the_same_names() -> None:
    assert build_options(
        Options, {"source": "a", "output": Path("b"), "betas": [0.5, 0.6], "from": "z"}, what="do()"
    ) == Options(source=Path("a"), output=Path("b"), betas=(0.5, 0.6), init_from="z")
    with pytest.raises(ConfigurationError, match=r"do\(\): unknown option 'ouput': did you mean 'output'"):
        build_options(Options, {"source": "a", "ouput": "b"}, what="do()")
    with pytest.raises(ConfigurationError, match=r"do\(\): output is missing"):
        build_options(Options, {"source": "a"}, what="do()")


def test_defaults_other_than_the_class_s(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("loud = true\nrate = 5")
    words = ["a", "--output", "b", "--config", str(file)]
    options = parse_options(Options, words, program="x", defaults={"rate": 4.0, "betas": (0.1, 0.2)})
    assert (options.rate, options.betas, options.loud) == (5.0, (0.1, 0.2), True)


def test_help_joins_the_lines_of_a_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(Options, ["--help"], program="x")
    assert "What to do it to." in capsys.readouterr().out
