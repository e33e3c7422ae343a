"""Values of JSON objects that people wrote, taken or refused by name; shared by the readers of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from spanbert.errors import InputError

_KINDS = {int: "a whole number", str: "text", list: "a list", dict: "an object", float: "a number"}

Value = TypeVar("Value", int, str, float, "list[Any]", "dict[str, Any]")


class BadRecordError(InputError):
    """A record that is no example or no prediction."""

    def __init__(self, kind: str, detail: str) -> None:
        self.kind = kind
        """A few words that are the same for all records of the kind."""
        self.detail = detail
        super().__init__(f"{kind}: {detail}")


def take(record: Mapping[str, Any], key: str, kind: type[Value], name: str = "") -> Value:
    """A value of an object.

    Args:
        record: the object.
        key: of the value.
        kind: what it has to be; a whole number is a number, too.
        name: of the object, for the message; "" for the whole record.

    Raises:
        BadRecordError: there is none, or it is something else.
    """
    if key not in record:
        raise BadRecordError("missing key", f"{name or 'the record'} has no `{key}`")
    return typed(record[key], kind, f"{name}.{key}".lstrip("."))


def typed(value: Any, kind: type[Value], name: str) -> Value:
    """A value, if it is what it has to be.

    Raises:
        BadRecordError: it is something else; says so by the value's name.
    """
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadRecordError("wrong value", f"`{name}` must be {_KINDS[kind]}, not {type(value).__name__}")
    return value


def take_name(record: Mapping[str, Any], key: str) -> str | None:
    """A name of something, such as an id: text, or a whole number as text; None where there is none.

    Raises:
        BadRecordError: it is something else.
    """
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRecordError("wrong value", f"`{key}` must be text or a whole number")
    return str(value)
