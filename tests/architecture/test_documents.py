"""Documents say what the code does: fields, defaults, error codes, examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from plugin import config, errors, ipamconfig

ROOT = Path(__file__).parents[2]
TYPES = {"string": str, "bool": bool, "int": int, "list": list, "object": dict}
# Read before the table is: plugin.config.parse_header.
HEADER = {"cniVersion", "name"}


def documented_fields(heading: str) -> dict[str, tuple[type, Any]]:
    """Key -> (type, default) of the table under a heading of docs/configuration.md."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    section = text.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|\s*`?([^|`]*?)`?\s*\|", section, re.M)
    return {
        key: (TYPES[kind], json.loads(default) if kind != "string" else default.strip())
        for key, kind, default in rows
        if key not in HEADER
    }


def fields_of(table: Any) -> dict[str, tuple[type, Any]]:
    """Key -> (type, default) of a table in the code."""
    return {
        key: (kind, list(default) if kind is list else default)
        for key, _, kind, default in table
    }


def test_every_field_is_documented_with_its_type_and_default() -> None:
    """docs/configuration.md and the table of the configuration are the same."""
    documented = documented_fields("The network")

    assert documented == fields_of(config._FIELDS)


def test_every_ipam_field_is_documented_with_its_type_and_default() -> None:
    """docs/configuration.md and the table of `ipam` are the same."""
    documented = documented_fields("`ipam` of type")

    assert documented == fields_of(ipamconfig._FIELDS)


def test_every_error_code_is_documented() -> None:
    """README's table has exactly the codes of plugin.errors."""
    codes = {
        value
        for name, value in vars(errors).items()
        if name.isupper() and isinstance(value, int)
    }
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.M)

    assert sorted(map(int, rows)) == sorted(codes)


def test_examples_are_configurations_of_the_plugin() -> None:
    """Each network in examples/ passes the plugin's own checks."""
    for path in (ROOT / "examples").glob("*.*"):
        document = json.loads(path.read_text())
        networks = document.get("plugins", [document])
        for network in networks:
            whole = {**document, **network}

            assert config.parse_config(whole, {}, False).name == document["name"]
