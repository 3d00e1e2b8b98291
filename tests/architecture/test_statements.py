"""Every statement of the CNI specification has a test that cites it."""

from __future__ import annotations

import ast
import re

from . import source

# The ids that tests cite for the statements of the specification, version 1.1.0:
# configuration, environment, output, codes, commands, results, conventions.
STATEMENTS = {
    "CF": 12,
    "EN": 8,
    "OU": 4,
    "AD": 6,
    "DE": 5,
    "CK": 5,
    "ST": 3,
    "GC": 6,
    "VE": 1,
    "DG": 1,
    "CC": 1,
    "RF": 4,
    "CV": 8,
    "CO": 4,
}
# Reports of users of other plugins that pycni has to be safe from: addresses, undo,
# bad input, datapath, rules, the log, families, verbs.
REPORTS = {
    "A": [1, 4, 5, 7],
    "B": [1, 2, 4, 5],
    "C": [1, 3, 4, 5],
    "D": [1, 2, 5, 7, 8],
    "E": [1],
    "F": [18],
    "G": [1],
    "J": [1, 2, 3],
}
ERROR_CODES = [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51]
CITED = re.compile(r"\b([A-Z]{2}\d{1,2})(?: to ([A-Z]{2}\d{1,2}))?\b")


def _docstrings() -> list[str]:
    return [
        ast.get_docstring(test) or ""
        for path in source.python_files("tests")
        for test in source.tests(path)
    ]


def _cited() -> set[str]:
    """The ids in the docstrings of all tests; `EN1 to EN3` is three of them."""
    found: set[str] = set()
    for docstring in _docstrings():
        for first, last in CITED.findall(docstring):
            kind, begin = first[:2], int(first[2:])
            end = int(last[2:]) if last[:2] == kind else begin
            found.update(f"{kind}{number}" for number in range(begin, end + 1))
            if last:
                found.add(last)
    return found


def test_every_statement_of_the_specification_is_tested() -> None:
    """Each statement of the specification is cited by the test that shows it."""
    wanted = [
        f"{kind}{number}"
        for kind, count in STATEMENTS.items()
        for number in range(1, count + 1)
    ]

    cited = _cited()
    assert [statement for statement in wanted if statement not in cited] == []


def test_every_report_is_tested() -> None:
    """Each report that this plugin has to be safe from is cited by a test."""
    wanted = [f"{kind}{number}" for kind in REPORTS for number in REPORTS[kind]]

    cited = set(re.findall(r"\b[A-Z]\d{1,2}\b", "\n".join(_docstrings())))
    assert [report for report in wanted if report not in cited] == []


def test_no_test_cites_a_statement_that_there_is_not() -> None:
    """An id of a statement that a test cites is one of the list."""
    unknown = {
        statement
        for statement in _cited()
        if statement[:2] in STATEMENTS
        and not 1 <= int(statement[2:]) <= STATEMENTS[statement[:2]]
    }

    assert unknown == set()


def test_every_error_code_is_tested() -> None:
    """Each error code of the specification is in the docstring of a test."""
    text = "\n".join(_docstrings())
    named = {int(code) for code in re.findall(r"\bcode (\d+)\b", text)}

    assert [code for code in ERROR_CODES if code not in named] == []
