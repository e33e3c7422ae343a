"""Command line and configuration files from the dataclass of a verb, with `tyro`."""

from __future__ import annotations

import difflib
import inspect
import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import MISSING, fields
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import docstring_parser
import tyro

from spanbert.errors import ConfigurationError

ConfigT = TypeVar("ConfigT")

CONFIG_FLAG = "--config"


def parse_options(
    config_class: type[ConfigT],
    arguments: Sequence[str],
    *,
    program: str,
    defaults: Mapping[str, Any] | None = None,
    notes: str = "",
) -> ConfigT:
    """Build a verb's configuration from its command line.

    `--config FILE.toml`, anywhere among the arguments, gives values under the same names as the flags (with `_`); flags
    on the command line win.

    Args:
        config_class: a keyword-only dataclass whose attribute docstrings are the help.
        arguments: the words after the verb.
        program: how the usage line begins.
        defaults: by field, defaults other than the class's own; `--help` shows these.
        notes: more for the description in `--help`.

    Raises:
        ConfigurationError: the file is not TOML, or has a key that is no option of this verb.
        SystemExit: after `--help`, or with status 2 after printing what is wrong with the command line.
    """
    rest, file = take_config_flag(list(arguments))
    description = inspect.cleandoc(config_class.__doc__ or "")
    default: Any = tyro.MISSING_NONPROP
    if file is not None or defaults:
        values = {} if file is None else read_config_file(config_class, file)
        default = _unchecked(config_class, {**(defaults or {}), **values})
    description += f"\n\n{notes}" if notes else ""
    description += f"\n\n{CONFIG_FLAG} FILE.toml reads options from a file."
    with _joined_docstring_lines(), _without_typeguard():
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


@contextmanager
def _without_typeguard() -> Iterator[None]:
    """Let tyro see whether a default is of its option's type without typeguard, a seventh of a short command's time.

    It knows plain types itself, and imports typeguard for `X | None` and for what is inside tuples and mappings; mypy
    has checked the defaults in the code, and those of a file were parsed.
    """
    resolver: Any = getattr(tyro, "_resolver", None)
    original = getattr(resolver, "is_instance", None)
    if original is None:  # another release of tyro, which then does as it likes
        yield
        return

    def is_instance(kind: Any, value: Any) -> bool:
        origin = get_origin(kind)
        if origin is UnionType:
            return any(is_instance(part, value) for part in get_args(kind))
        if origin is Annotated or not isinstance(origin, type):
            return bool(original(kind, value))
        return isinstance(value, origin)

    resolver.is_instance = is_instance
    try:
        yield
    finally:
        resolver.is_instance = original


def read_config_file(config_class: type[Any], path: Path) -> dict[str, Any]:
    """The values of a TOML file, each checked to be an option of the verb.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML, or has an unknown key (the nearest right one is
            named).
    """
    return parse_values(config_class, read_toml(path), what=str(path))


def parse_values(config_class: type[Any], values: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Values of TOML by name, as those of a dataclass's fields.

    Args:
        config_class: a keyword-only dataclass.
        values: as TOML has them.
        what: how messages begin: where the values stand.

    Raises:
        ConfigurationError: a name is unknown (the nearest right one is told), or a value is not of its option's type.
    """
    names = _names_of(config_class)
    hints = get_type_hints(config_class)
    parsed = {}
    for key, value in values.items():
        name = _known(key, names, what)
        parsed[name] = _parse_value(hints[name], value, f"{what}: {key} = {value!r}")
    return parsed


def build_options(config_class: type[ConfigT], values: Mapping[str, Any], *, what: str) -> ConfigT:
    """A verb's configuration from Python's keyword arguments: paths may be given as text and text as
    paths, tuples as lists.

    Args:
        config_class: a keyword-only dataclass.
        values: by name.
        what: how messages begin: the call.

    Raises:
        ConfigurationError: a name is unknown (the nearest right one is told), a value that is needed is not there, of
            another type, or out of range.
    """
    names = _names_of(config_class)
    hints = get_type_hints(config_class)
    given: dict[str, Any] = {}
    for key, value in values.items():
        name = _known(key, names, what)
        if isinstance(value, str) and hints[name] in (Path, Path | None):
            value = Path(value)
        elif isinstance(value, Path) and hints[name] is str:
            value = str(value)
        if not _fits(hints[name], value):
            raise ConfigurationError(f"{what}: {name} cannot be {value!r}, a value of type {type(value).__name__}")
        given[name] = tuple(value) if isinstance(value, list) else value
    for field in fields(config_class):  # type: ignore[arg-type]  # a verb's configuration is a dataclass
        if field.name not in given and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigurationError(f"{what}: {field.name} is missing")
    return config_class(**given)


def _fits(hint: Any, value: Any) -> bool:
    """Whether a value is of a plain type, or one of several, that an option has; other types check themselves."""
    if isinstance(hint, UnionType):
        return any(_fits(part, value) for part in get_args(hint))
    if hint in (int, float) and isinstance(value, bool):
        return False
    plain = {int: Integral, float: Real, bool: bool, str: str, type(None): type(None)}
    return isinstance(value, plain[hint]) if hint in plain else True


def _names_of(config_class: type[Any]) -> dict[str, str]:
    """The names an option goes by -> its field: the field's own and the flag's (`from` is no name in Python)."""
    hints = get_type_hints(config_class, include_extras=True)
    names: dict[str, str] = {}
    for field in fields(config_class):
        notes = getattr(hints[field.name], "__metadata__", ())
        if tyro.conf.Suppress in notes:
            continue  # learned, not given
        names[field.name] = field.name
        for note in notes:
            if isinstance(flag := getattr(note, "name", None), str):
                names[flag] = field.name
    return names


def _known(key: str, names: Mapping[str, str], what: str) -> str:
    """The field of a name."""
    name = key.replace("-", "_")
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f": did you mean {nearest[0]!r}?" if nearest else f"; the options are {', '.join(sorted(names))}"
        raise ConfigurationError(f"{what}: unknown option {key!r}{hint}")
    return names[name]


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file, whatever they are.

    Raises:
        ConfigurationError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: not a TOML file: {error}") from error


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
        if field.name in values:
            value = values[field.name]
        elif field.default_factory is not MISSING:
            value = field.default_factory()
        else:
            value = tyro.MISSING if field.default is MISSING else field.default
        object.__setattr__(config, field.name, value)
    return config


def take_config_flag(arguments: list[str]) -> tuple[list[str], Path | None]:
    """Split `--config FILE` or `--config=FILE` off a command line."""
    for number, word in enumerate(arguments):
        if word == CONFIG_FLAG:
            if number + 1 == len(arguments):
                raise ConfigurationError(f"{CONFIG_FLAG} needs the name of a TOML file")
            return arguments[:number] + arguments[number + 2 :], Path(arguments[number + 1])
        if word.startswith(CONFIG_FLAG + "="):
            return arguments[:number] + arguments[number + 1 :], Path(word.partition("=")[2])
    return arguments, None
