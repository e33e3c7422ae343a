"""Command line and configuration files from the dataclass of a verb, with `tyro`."""

from __future__ import annotations

import difflib
import inspect
import io
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import docstring_parser
import tyro

from spanbert.errors import ConfigurationError

ConfigT = TypeVar("ConfigT")

CONFIG_FLAG = "--config"


def parse_options(config_class: type[ConfigT], arguments: Sequence[str], *, program: str) -> ConfigT:
    """Build a verb's configuration from its command line.

    `--config FILE.toml`, anywhere among the arguments, gives values under the same names as the flags (with `_`); flags
    on the command line win.

    Args:
        config_class: a keyword-only dataclass whose attribute docstrings are the help.
        arguments: the words after the verb.
        program: how the usage line begins.

    Raises:
        ConfigurationError: the file is not TOML, or has a key that is no option of this verb.
        SystemExit: after `--help`, or with status 2 after printing what is wrong with the command line.
    """
    rest, file = _take_config_flag(list(arguments))
    description = inspect.cleandoc(config_class.__doc__ or "")
    default: Any = tyro.MISSING_NONPROP
    if file is not None:
        default = _unchecked(config_class, read_config_file(config_class, file))
    description += f"\n\n{CONFIG_FLAG} FILE.toml reads options from a file."
    with _joined_docstring_lines():
        parsed: ConfigT = tyro.cli(config_class, args=rest, prog=program, default=default, description=description)
    return parsed


@contextmanager
def _joined_docstring_lines() -> Iterator[None]:
    """Let tyro see each attribute docstring as one line, which it wraps itself.

    It asks docstring_parser, which leaves the indentation of the source in, and tyro takes an indented line for one
    that has to stay by itself.
    """
    original = docstring_parser.parse_from_object

    def parse(
        obj: Any, style: docstring_parser.DocstringStyle = docstring_parser.DocstringStyle.AUTO
    ) -> docstring_parser.Docstring:
        docstring = original(obj, style)
        for parameter in docstring.params:
            parameter.description = " ".join((parameter.description or "").split()) or None
        return docstring

    docstring_parser.parse_from_object = parse
    try:
        yield
    finally:
        docstring_parser.parse_from_object = original


def read_config_file(config_class: type[Any], path: Path) -> dict[str, Any]:
    """The values of a TOML file, each checked to be an option of the verb.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML, or has an unknown key (the nearest right one is
            named).
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: not a TOML file: {error}") from error
    hints = get_type_hints(config_class, include_extras=True)
    # By the field's name, or by the flag's where it has another (`from` is no name in Python).
    known = {field.name: field.name for field in fields(config_class)}
    for field in fields(config_class):
        for note in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(flag := getattr(note, "name", None), str):
                known[flag] = field.name
    parsed = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean {nearest[0]!r}?" if nearest else f"; the options are {', '.join(sorted(known))}"
            raise ConfigurationError(f"{path}: unknown option {key!r}{hint}")
        name = known[name]
        parsed[name] = _parse_value(get_type_hints(config_class)[name], value, f"{path}: {key} = {value!r}")
    return parsed


def _parse_value(hint: Any, value: Any, what: str) -> Any:
    """Let the command line's own parser turn a TOML value into the type of an option."""
    words = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return tyro.cli(hint, args=words)
    except SystemExit:
        raise ConfigurationError(f"{what} is not a value that this option takes") from None


def _unchecked(config_class: type[ConfigT], values: dict[str, Any]) -> ConfigT:
    """An instance with `values`, defaults for the rest, and tyro's mark where a required option is still missing.

    It is made without calling the class, which would check options that the command line has yet to give.
    """
    config = object.__new__(config_class)
    for field in fields(config_class):  # type: ignore[arg-type]  # a verb's configuration is a dataclass
        default = tyro.MISSING if field.default is MISSING else field.default
        object.__setattr__(config, field.name, values.get(field.name, default))
    return config


def _take_config_flag(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Split `--config FILE` or `--config=FILE` off a command line."""
    for number, word in enumerate(arguments):
        if word == CONFIG_FLAG:
            if number + 1 == len(arguments):
                raise ConfigurationError(f"{CONFIG_FLAG} needs the name of a TOML file")
            return arguments[:number] + arguments[number + 2 :], Path(arguments[number + 1])
        if word.startswith(CONFIG_FLAG + "="):
            return arguments[:number] + arguments[number + 1 :], Path(word.partition("=")[2])
    return arguments, None
