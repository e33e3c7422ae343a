"""The documentation, checked as a reader would use it: every command and snippet runs, every flag and link exists.

A page's ```console and ```python blocks run in order, in one empty folder: lines that begin with `$ ` are commands, the
rest is output as it was once seen, and not compared. HTML comments, which no reader sees, tell the tests what differs:

    <!-- in tests, spanbert pretrain: --steps 4 -->   add this to the commands that begin so, from here on
    <!-- file: notes.txt -->                          the next block is the contents of this file
    <!-- exits with 1 -->                             so does the last command of the next block
    <!-- not run in tests: needs a GPU -->            the next block cannot run here
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from spanbert import cli
from spanbert.options import parse_options
from spanbert.task_options import compose_options
from spanbert.tasks import TASKS, find_task

ROOT = Path(__file__).parents[1]
MEASUREMENTS = {"results.md", "benchmarks.md", "performance.md"}  # what they measured takes hours
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in DOCUMENTS if page.name not in MEASUREMENTS | {"CONTRIBUTING.md", "CHANGELOG.md"}]
NUM_BLOCKS_NOT_RUN = 7  # they install packages, or need the network or a GPU

_COMMENT = re.compile(r"\s*<!-- (?:(in tests), ([^:]*): (.*)|(file|not run in tests): (.*)|(exits with) (\d+)) -->")
_SHELL_ONLY = set("|<>&;$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with what the comments before it say."""

    language: str
    line: int
    text: str
    file: str | None
    not_run: str | None
    exit_status: int
    added: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Command:
    """A command of a console block, its continued lines joined."""

    line: int
    words: str


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    said: dict[str, str] = {}
    added: tuple[tuple[str, str], ...] = ()
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if match := _COMMENT.fullmatch(line):
            if match[1]:
                added = (*added, (match[2], match[3]))
            elif match[4]:
                said[match[4]] = match[5]
            else:
                said[match[6]] = match[7]
        elif line.startswith("```"):
            contents = []
            for _, inside in lines:
                if inside.startswith("```"):
                    break
                contents.append(inside)
            yield Block(
                language=line.removeprefix("```"),
                line=number,
                text="\n".join(contents) + "\n",
                file=said.get("file"),
                not_run=said.get("not run in tests"),
                exit_status=int(said.get("exits with", 0)),
                added=added,
            )
            said = {}


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    lines = iter(enumerate(block.text.splitlines(), block.line + 1))
    for number, line in lines:
        if line.startswith("$ "):
            words = line.removeprefix("$ ")
            while words.endswith("\\"):
                words = words[:-1] + next(lines)[1].strip()
            yield Command(number, words)


# Running


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.not_run:
            continue
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            source = "\n" * block.line + block.text
            exec(compile(source, str(page), "exec"), names)
        elif block.language == "console":
            commands = list(commands_of(block))
            assert commands, f"{page.name}, line {block.line}: a console block without a command"
            for command in commands:
                expected = block.exit_status if command is commands[-1] else 0
                status = run(command.words, block.added, monkeypatch)
                assert status == expected, f"{page.name}, line {command.line}: {command.words}"


def run(words: str, added: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command, in this process where it is a plain `spanbert ...`; return its exit status."""
    last = words.rpartition("| ")[2]
    for prefix, more in added:
        if last.startswith(prefix + " "):
            words += f" {more}"
    if not words.startswith("spanbert ") or any(
        set(token) <= _SHELL_ONLY for token in shlex.shlex(words, posix=True, punctuation_chars="".join(_SHELL_ONLY))
    ):
        return subprocess.run(words, shell=True, check=False, timeout=120).returncode
    arguments = shlex.split(words)
    monkeypatch.setattr(sys, "argv", arguments)
    reset_accelerate()
    try:
        return cli.main(arguments[1:])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


def reset_accelerate() -> None:
    """Forget device and precision of an earlier command: for a reader each command is a process of its own."""
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)


def test_few_blocks_are_not_run() -> None:
    not_run = [(page.name, block.line, block.not_run) for page in PAGES for block in blocks_of(page) if block.not_run]
    assert len(not_run) == NUM_BLOCKS_NOT_RUN, not_run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_where_they_are_run(page: Path) -> None:
    for block in blocks_of(page):
        if block.language not in ("console", "python"):
            assert not any(commands_of(block)), f"{page.name}, line {block.line}: make it a console block"
            assert not block.not_run, f"{page.name}, line {block.line}: it is not run in any case"


# Flags


@cache
def option_classes(verb: str) -> tuple[type, ...]:
    """The options of a verb: one class, or one for each task and that of models that are for no task."""
    entry = cli.VERBS[verb]
    own = imported(entry.options)
    if entry.joins is None:
        return (own,)
    part = "settings" if entry.joins == "settings" else "data"
    composed = [compose_options(own, find_task(name), part) for name in TASKS]
    return (*composed, *([imported(entry.pretrained[0])] if entry.pretrained else []))


def imported(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found


@cache
def flags_of(verb: str) -> frozenset[str]:
    """The flags of a verb, from its own help; those of all tasks where it has several."""
    flags = {"--config"}
    for options in option_classes(verb):
        shown = StringIO()
        with redirect_stdout(shown), pytest.raises(SystemExit):
            parse_options(options, ["--help"], program="spanbert")
        # An option's row is indented least, with or without a frame; its description stands two spaces to the right.
        rows = re.findall(r"^(?:│ |  )(-.*?)(?:  |│|$)", shown.getvalue(), flags=re.MULTILINE)
        flags |= {flag for row in rows for flag in re.findall(r"--[a-z][a-z-]*", row)}
    return frozenset(flags)


def mentioned_flags(page: Path) -> Iterator[tuple[str, str]]:
    """(flag, code it stands in) for every command, and every inline code of a page."""
    blocks = list(blocks_of(page))
    for block in blocks:
        for command in commands_of(block):
            for flag in re.findall(r"(?<!\S)--[a-zA-Z][\w-]*", command.words):
                yield flag, command.words
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", text):
        for flag in re.findall(r"(?<!\S)--[a-zA-Z][\w-]*", code):
            yield flag, code


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_flags_exist(page: Path) -> None:
    anywhere = frozenset().union(*(flags_of(verb) for verb in cli.VERBS))
    for flag, code in mentioned_flags(page):
        verbs = re.findall(r"spanbert ([a-z]+) ", code)
        if code.startswith("-"):
            assert flag in anywhere, f"{page.name}: no verb has {flag}"
        elif verbs:
            launcher = code.partition("spanbert")[0]
            known = flags_of(verbs[-1]) | set(re.findall(r"--[\w-]+", launcher))
            assert flag in known, f"{page.name}: {code}: {flag}"


def test_help_is_read_right() -> None:
    assert {"--from", "--sbo", "--no-sbo", "--tokenizer"}.isdisjoint(flags_of("sample"))
    assert {"--from", "--sbo", "--no-sbo", "--sequence-length", "--adam-betas"} <= flags_of("pretrain")
    assert "--span" not in flags_of("pretrain")


def test_every_option_is_in_the_documentation_of_some_page() -> None:
    """An option nobody mentions is one nobody finds; those that say all about themselves in --help are named here."""
    obvious = {"json", "quiet", "threads", "seed", "device", "epoch", "adam_betas", "adam_epsilon", "max_grad_norm"}
    obvious |= {"weight_decay", "log_every", "stdin_format", "heading", "min_frequency"}
    mentioned = {flag for page in DOCUMENTS for flag, _ in mentioned_flags(page)}
    for verb in cli.VERBS:
        for options in option_classes(verb):
            for field in fields(options):
                flag = "--from" if field.name == "init_from" else "--" + field.name.replace("_", "-")
                is_flag = flag in flags_of(verb)  # neither a positional argument nor learned
                if field.name not in obvious and is_flag:
                    spellings = {flag, flag.replace("--", "--no-", 1)}
                    assert spellings & mentioned, f"{options.__name__}.{field.name}"


# Links, files and the tree


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors_of(path), f"{page.name}: {target}"


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:src|tests|docs|benchmarks|scripts)/[\w./-]*)`", text):
        assert name == "tests/test_X.py" or (ROOT / name).exists(), f"{page.name}: {name}"


def tree_of_readme() -> list[Path]:
    """The paths in the tree at the end of the README."""
    block = list(blocks_of(ROOT / "README.md"))[-1]
    folders: list[tuple[int, Path]] = []
    paths = []
    for line in block.text.splitlines():
        if match := re.match(r"( *)(\S+)", line):
            depth = len(match[1])
            folders = [(indent, folder) for indent, folder in folders if indent < depth]
            path = (folders[-1][1] if folders else ROOT) / match[2]
            paths.append(path)
            if match[2].endswith("/"):
                folders.append((depth, path))
    return paths


def test_the_tree_of_the_readme_is_the_repository() -> None:
    tree = tree_of_readme()
    for path in tree:
        assert list(path.parent.glob(path.name)), f"{path.relative_to(ROOT)} is in the tree and not in the repository"
    assert len(tree) == len(set(tree))
    modules = set((ROOT / "src/spanbert").rglob("*.py"))
    assert not modules - set(tree), "not in the tree of README.md"
