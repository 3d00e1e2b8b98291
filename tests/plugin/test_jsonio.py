"""JSON text and values: both directions, malformed text, and the json module beside."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from plugin import jsonio

CASES = [
    ("null", None),
    ("true", True),
    ("false", False),
    ("0", 0),
    ("-7", -7),
    ("4294967296", 1 << 32),
    ("1.5", 1.5),
    ("-0.25", -0.25),
    ("1e+16", 1e16),
    ('""', ""),
    ('"eth0"', "eth0"),
    ('"\\"\\\\/"', '"\\/'),
    ('"\\u0000\\u0001\\n\\u001f"', "\0\1\n\x1f"),
    ('"ä 漢 😀"', "ä 漢 😀"),
    ("[]", []),
    ("{}", {}),
    ('[1,[2,"3"],{"four":null}]', [1, [2, "3"], {"four": None}]),
    ('{"dst":"::/0","":{"a":[true]}}', {"dst": "::/0", "": {"a": [True]}}),
]

READ_ONLY = [
    (' \t\r\n{ "a" : [ 1 , 2 ] } \n', {"a": [1, 2]}),
    ("-0", 0),
    ("1E2", 100.0),
    ("1.0e-2", 0.01),
    ('"\\/\\b\\f\\n\\r\\t"', "/\b\f\n\r\t"),
    ('"\\u00e4\\u6F22\\ud83d\\ude00"', "ä漢😀"),
    ('"\\ud83d"', "\ufffd"),
    ('"\\ude00\\ud83dA"', "\ufffd\ufffdA"),
    ('"\\ud83d\\u0041"', "\ufffdA"),
    ('{"a":1,"a":2}', {"a": 2}),
]

MALFORMED = [
    ("", "line 1 column 1: the text ends early"),
    ("  ", "line 1 column 3: the text ends early"),
    ("{", "line 1 column 2: the text ends early"),
    ('{"a"', "line 1 column 5: the text ends early"),
    ('{"a":1', "line 1 column 7: the text ends early"),
    ("[1,", "line 1 column 4: the text ends early"),
    ('"abc', "line 1 column 5: the text ends early"),
    ('"\\', "line 1 column 3: the text ends early"),
    ('"\\u12g4"', "line 1 column 4: expected four hexadecimal digits"),
    ('"\\u12"', "line 1 column 7: the text ends early"),
    ('"\\u123', "line 1 column 7: the text ends early"),
    ("nul", "line 1 column 1: expected a value"),
    ("NaN", "line 1 column 1: expected a value"),
    ("Infinity", "line 1 column 1: expected a value"),
    ("-Infinity", "line 1 column 1: not a number: -"),
    ("+1", "line 1 column 1: expected a value"),
    (".5", "line 1 column 1: expected a value"),
    ("01", "line 1 column 1: not a number: 01"),
    ("1.", "line 1 column 1: not a number: 1."),
    ("1e", "line 1 column 1: not a number: 1e"),
    ("-", "line 1 column 1: not a number: -"),
    ("1.2.3", "line 1 column 1: not a number: 1.2.3"),
    ("1e400", "line 1 column 1: not a number: 1e400"),
    ("1" * 5000, f"line 1 column 1: not a number: {'1' * 40}"),
    ("1 2", "line 1 column 3: more text after the value"),
    ("{'a': 1}", "line 1 column 2: expected a key in double quotes"),
    ('{\n  "a": 1,\n}', "line 3 column 1: expected a key in double quotes"),
    ('{"a" 1}', "line 1 column 6: expected ':'"),
    ('{\n  "a": 1\n  "b": 2\n}', "line 3 column 3: expected ',' or '}'"),
    ("[1\n 2]", "line 2 column 2: expected ',' or ']'"),
    ("[1,]", "line 1 column 4: expected a value"),
    ('"a\tb"', "line 1 column 3: a control character inside a string"),
    ('"\\x41"', "line 1 column 2: unknown escape \\x"),
    ("[" * 101, "line 1 column 102: nested more than 100 deep"),
    ('{"a":' * 101, "line 1 column 502: nested more than 100 deep"),
]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
# Text that is nearly JSON.
PIECES = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", '"', "\\", "\\u", "-", ".", "12", "00ff", "d8"),
        *("e", "E+", "true", "false", "null", "nul", "NaN", '"a"', '"b":', "é"),
        *(" ", "\n", "\x01"),
    ]
)


@pytest.mark.parametrize(("text", "value"), CASES, ids=range(len(CASES)))
def test_text_and_value_say_the_same(text: str, value: Any) -> None:
    """A value is rendered as its text, and the text is read as the value."""
    assert jsonio.dumps(value) == text
    assert jsonio.loads(text.encode()) == value


@pytest.mark.parametrize(("text", "value"), READ_ONLY, ids=range(len(READ_ONLY)))
def test_other_ways_to_write_a_value_are_read(text: str, value: Any) -> None:
    """White space, all escapes, lone surrogates and doubled keys have a meaning."""
    assert jsonio.loads(text.encode()) == value


@pytest.mark.parametrize(("text", "want"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_text_is_refused_with_its_place(text: str, want: str) -> None:
    """What the grammar does not allow is an error with line and column (CF10)."""
    with pytest.raises(jsonio.DecodeError) as caught:
        jsonio.loads(text.encode())

    assert str(caught.value) == want


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"a":"\xff"}', 6),
        (b"\x80", 0),
        (b'"\xc3"', 1),
        (b'"\xe6\xbc"', 1),
        (b'"\xed\xa0\x80"', 1),
        ('"ä漢😀'.encode() + b"\xf0\x9f\x98", 10),
        ('"\ufffd'.encode() + b"\xff", 4),
        (b'"' + b"\xef\xbf", 1),
    ],
)
def test_what_is_not_utf8_is_refused(data: bytes, place: int) -> None:
    """Bytes that are not UTF-8 are an error that names the first such byte."""
    with pytest.raises(jsonio.DecodeError) as caught:
        jsonio.loads(data)

    assert str(caught.value) == f"byte {place}: not UTF-8"


@given(st.text(), st.binary(max_size=4))
def test_the_place_is_that_of_the_strict_decoder(text: str, rest: bytes) -> None:
    """The first byte that is not UTF-8 is the one that Python's decoder names."""
    data = text.encode() + rest
    try:
        want = (data.decode(), -1)
    except UnicodeDecodeError as error:
        want = (data.decode("utf-8", "replace"), error.start)

    assert jsonio.decode(data) == want


@pytest.mark.parametrize(("text", "value"), CASES, ids=range(len(CASES)))
def test_text_cut_short_is_refused(text: str, value: Any) -> None:
    """A text that ends early is an error at whichever byte it ends."""
    data = text.encode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        data = f"[{text}]".encode()

    for end in range(len(data)):
        with pytest.raises(jsonio.DecodeError):
            jsonio.loads(data[:end])


def test_values_are_read_a_hundred_deep() -> None:
    """Lists and objects may be nested a hundred deep."""
    text = '[{"a":' * 50 + "1" + "}]" * 50

    assert jsonio.dumps(jsonio.loads(text.encode())) == text


@given(st.lists(st.sampled_from([0x41, 0xC3, 0xA9, 0xEF, 0xBF, 0xBD, 0xED, 0xFF])))
def test_the_place_of_what_is_not_utf8(codes: list[int]) -> None:
    """Bytes are decoded as Python does it, and the first wrong one is found."""
    data = bytes(codes)
    try:
        want = data.decode(), -1
    except UnicodeDecodeError as error:
        want = data.decode("utf-8", "replace"), error.start

    assert jsonio.decode(data) == want


def test_a_tuple_is_rendered_as_a_list() -> None:
    """A tuple is rendered as a list, so that tables can be printed."""
    assert jsonio.dumps(("0.1.0", "1.0.0")) == '["0.1.0","1.0.0"]'


@given(VALUES)
def test_any_value_comes_back(value: Any) -> None:
    """Any value that JSON has comes back as it was, and json reads it the same."""
    text = jsonio.dumps(value)

    assert jsonio.loads(text.encode()) == value
    assert json.loads(text) == value


@given(VALUES, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_what_json_writes_is_read(value: Any, indent: Any, ascii_only: bool) -> None:
    """Any text that the json module writes is read as the value that it came from."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    assert jsonio.loads(text.encode()) == value


@given(st.lists(PIECES).map("".join) | st.text())
@example("-01")
@example("1e5.5")
@example('"\\ud83d\\u00"')
def test_text_is_refused_exactly_if_json_refuses_it(text: str) -> None:
    """Text is accepted exactly if the json module accepts it, with the same value."""
    try:
        want = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        with pytest.raises(jsonio.DecodeError):
            jsonio.loads(text.encode())
        return

    # Documented differences: no infinity, and U+FFFD for what no UTF-8 can carry.
    assume(not _has_infinity(want))
    got = jsonio.loads(text.encode())
    assert json.dumps(got) == json.dumps(_without_surrogates(want))


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _has_infinity(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_infinity, value.values()))
    if isinstance(value, list):
        return any(map(_has_infinity, value))
    return isinstance(value, float) and math.isinf(value)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _without_surrogates(key): _without_surrogates(member)
            for key, member in value.items()
        }
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= c < "\ue000" else c for c in value)
    return value
