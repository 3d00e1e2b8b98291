"""Typed fields of a JSON object: each key of a table, its type and its default.

Never stops at the first problem: they are collected, so that one error names all.
"""

from __future__ import annotations

from plugin import errors
from plugin.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Field = tuple[str, str, type, Any]

TYPE_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class Problems:
    """Collects what is wrong, so that one error names all of it."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.code = errors.DECODING_FAILURE

    def bad_environment(self, sentence: str) -> None:
        """A malformed environment variable: code 4, unless the configuration is bad."""
        if self.code == errors.DECODING_FAILURE:
            self.code = errors.INVALID_ENVIRONMENT
        self.sentences.append(sentence)

    def wrong_shape(self, sentence: str) -> None:
        """A value of the wrong JSON type: code 6, unless something else is wrong."""
        self.sentences.append(sentence)

    def invalid(self, sentence: str) -> None:
        """A value that the configuration can't have: code 7."""
        self.code = errors.INVALID_CONFIGURATION
        self.sentences.append(sentence)

    def raise_if_any(self) -> None:
        """Raise one error with all sentences."""
        if self.sentences:
            raise CNIError(self.code, "; ".join(self.sentences))


def fold(document: dict[str, Any]) -> dict[str, Any]:
    """The object with its keys in lower case; an exact key wins over another case."""
    folded = {key.lower(): value for key, value in document.items()}
    for key, value in document.items():
        if key.islower():
            folded[key] = value
    return folded


def member(document: Any, key: str) -> Any:
    """The value of a key in any case (CF11); None when there is no such key."""
    if not isinstance(document, dict):
        return None
    if key in document:
        return document[key]
    return fold(document).get(key.lower())


def is_absolute(path: str) -> bool:
    """Whether the text can be the path of a file wherever the plugin is started."""
    return path.startswith("/") and "\0" not in path


def read_fields(
    target: Any,
    document: dict[str, Any],
    fields: tuple[Field, ...],
    prefix: str,
    problems: Problems,
) -> None:
    """Set the attributes of `target` by a table of key, attribute, type, default."""
    folded = fold(document)
    for key, attribute, kind, default in fields:
        value = document[key] if key in document else folded.get(key.lower())
        if value is None:
            value = default
        elif type(value) is not kind:
            problems.wrong_shape(f"{prefix}{key}: {value!r} is not {TYPE_NAMES[kind]}")
            value = default
        setattr(target, attribute, value)
