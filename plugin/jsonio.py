"""JSON text to values and back (RFC 8259), without the json module.

Never guesses: what the grammar does not allow is a DecodeError with line and
column. `import json` costs more than a whole ADD (it loads re and enum), and the
C scanner behind it is not in every Python's static library, so this is the one
reader for all. A lone surrogate, which no UTF-8 can carry, becomes U+FFFD, as the
Go runtimes read it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WHITESPACE = " \t\n\r"
_ESCAPES = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_NUMBER = "+-.0123456789Ee"
_HEX = "0123456789abcdefABCDEF"
# Deep enough for any configuration, far from the interpreter's recursion limit.
_DEEPEST = 100


class DecodeError(ValueError):
    """The bytes are not JSON; the message says where."""


def decode(data: bytes) -> tuple[str, int]:
    """UTF-8 as text, and the place of the first byte that is none, else -1.

    For an error of the strict decoder the interpreter would load the module
    `encodings`, which the executable does not have.
    """
    text = data.decode("utf-8", "replace")
    whole = text.encode()
    if whole == data:
        return text, -1
    place = 0
    while place < len(data) and whole[place] == data[place]:
        place += 1
    # The replacement may begin with the bytes of what it replaced.
    while whole[place] & 0xC0 == 0x80:
        place -= 1
    return text, place


def loads(data: bytes) -> Any:
    """Parse UTF-8 JSON text to dict, list, str, int, float, bool or None."""
    text, wrong = decode(data)
    if wrong >= 0:
        raise DecodeError(f"byte {wrong}: not UTF-8")
    try:
        value, position = _value(text, _skip(text, 0), 0)
    except IndexError:
        raise DecodeError(f"{_place(text, len(text))}: the text ends early") from None
    position = _skip(text, position)
    if position != len(text):
        raise _error(text, position, "more text after the value")
    return value


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"line {line} column {column}"


def _error(text: str, position: int, what: str) -> DecodeError:
    return DecodeError(f"{_place(text, position)}: {what}")


def _skip(text: str, position: int) -> int:
    end = len(text)
    while position < end and text[position] in _WHITESPACE:
        position += 1
    return position


def _value(text: str, position: int, depth: int) -> tuple[Any, int]:
    first = text[position]
    if first == '"':
        return _string(text, position + 1)
    if first == "{":
        return _object(text, position + 1, depth + 1)
    if first == "[":
        return _array(text, position + 1, depth + 1)
    if first in _LITERALS:
        word, value = _LITERALS[first]
        if text.startswith(word, position):
            return value, position + len(word)
    elif first in "-0123456789":
        return _number(text, position)
    raise _error(text, position, "expected a value")


def _object(text: str, position: int, depth: int) -> tuple[dict[str, Any], int]:
    if depth > _DEEPEST:
        raise _error(text, position, f"nested more than {_DEEPEST} deep")
    result: dict[str, Any] = {}
    position = _skip(text, position)
    if text[position] == "}":
        return result, position + 1
    while True:
        if text[position] != '"':
            raise _error(text, position, "expected a key in double quotes")
        key, position = _string(text, position + 1)
        position = _skip(text, position)
        if text[position] != ":":
            raise _error(text, position, "expected ':'")
        result[key], position = _value(text, _skip(text, position + 1), depth)
        position = _skip(text, position)
        if text[position] == "}":
            return result, position + 1
        if text[position] != ",":
            raise _error(text, position, "expected ',' or '}'")
        position = _skip(text, position + 1)


def _array(text: str, position: int, depth: int) -> tuple[list[Any], int]:
    if depth > _DEEPEST:
        raise _error(text, position, f"nested more than {_DEEPEST} deep")
    result: list[Any] = []
    position = _skip(text, position)
    if text[position] == "]":
        return result, position + 1
    while True:
        value, position = _value(text, position, depth)
        result.append(value)
        position = _skip(text, position)
        if text[position] == "]":
            return result, position + 1
        if text[position] != ",":
            raise _error(text, position, "expected ',' or ']'")
        position = _skip(text, position + 1)


def _string(text: str, position: int) -> tuple[str, int]:
    """Read a string whose opening quote is behind us; jumps from escape to escape."""
    parts: list[str] = []
    quote = -1
    while True:
        # Searched anew only where an escape has passed it: text full of escapes would
        # be searched to its end for each of them.
        if quote < position:
            quote = text.find('"', position)
        if quote < 0:
            raise IndexError
        slash = text.find("\\", position, quote)
        plain = text[position : quote if slash < 0 else slash]
        if not plain.isprintable() and min(plain) < " ":
            position += min([plain.find(c) for c in plain if c < " "])
            raise _error(text, position, "a control character inside a string")
        parts.append(plain)
        if slash < 0:
            return "".join(parts), quote + 1
        escape = text[slash + 1]
        if escape == "u":
            character, position = _unicode(text, slash + 2)
        elif escape in _ESCAPES:
            character, position = _ESCAPES[escape], slash + 2
        else:
            raise _error(text, slash, f"unknown escape \\{escape}")
        parts.append(character)


def _unicode(text: str, position: int) -> tuple[str, int]:
    code = _hex(text, position)
    position += 4
    if 0xD800 <= code < 0xDC00 and text[position : position + 2] == "\\u":
        low = _hex(text, position + 2)
        if 0xDC00 <= low < 0xE000:
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            position += 6
    if 0xD800 <= code < 0xE000:
        code = 0xFFFD
    return chr(code), position


def _hex(text: str, position: int) -> int:
    digits = text[position : position + 4]
    if len(digits) < 4:
        raise IndexError
    for digit in digits:
        if digit not in _HEX:
            raise _error(text, position, "expected four hexadecimal digits")
    return int(digits, 16)


def _number(text: str, position: int) -> tuple[int | float, int]:
    end = position
    while end < len(text) and text[end] in _NUMBER:
        end += 1
    token = text[position:end]
    whole = token[1:] if token[0] == "-" else token
    for mark in ".eE":
        whole = whole.partition(mark)[0]
    fraction = token.partition(".")[2]
    well_formed = whole.isdigit() and (whole == "0" or whole[0] != "0")
    if "." in token and not fraction[:1].isdigit():
        well_formed = False
    if well_formed:
        try:
            exact = whole in (token, token[1:])
            value = int(token) if exact else float(token)
            # One too large becomes infinity, which JSON can't say.
            if exact or value - value == 0:
                return value, end
        except ValueError:
            pass
    raise _error(text, position, f"not a number: {token[:40]}")


_QUOTED = {code: f"\\u{code:04x}" for code in range(32)}
_QUOTED[ord('"')] = '\\"'
_QUOTED[ord("\\")] = "\\\\"
_QUOTED[ord("\n")] = "\\n"


def dumps(value: Any) -> str:
    """Render dict, list, str, int, float, bool or None as compact JSON."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return f'"{value.translate(_QUOTED)}"'
    if isinstance(value, dict):
        members = [f"{dumps(key)}:{dumps(member)}" for key, member in value.items()]
        return "{" + ",".join(members) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    return repr(value)
