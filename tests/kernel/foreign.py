"""An IPAM plugin that is not ours: a shell script that keeps what it was called with.

For tests of delegation; it answers what a test tells it to.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NAME = "elsewhere"
_SCRIPT = """#!/bin/sh
# Keeps environment and stdin, prints what lies in COMMAND.stdout.
cd "{folder}" || exit 1
echo "$CNI_COMMAND" >> calls
env | grep ^CNI_ > "$CNI_COMMAND.environ"
cat > "$CNI_COMMAND.stdin"
echo "$CNI_COMMAND by elsewhere" >&2
[ -e "$CNI_COMMAND.stdout" ] && cat "$CNI_COMMAND.stdout"
[ -e "$CNI_COMMAND.exit" ] && exit "$(cat "$CNI_COMMAND.exit")"
exit 0
"""


class ForeignIPAM:
    """The plugin `elsewhere`, in a folder of its own, and what it was called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "foreign"
        self.folder.mkdir()
        plugin = self.folder / NAME
        plugin.write_text(_SCRIPT.format(folder=self.folder))
        plugin.chmod(0o755)

    @property
    def path(self) -> str:
        """A CNI_PATH in which the plugin is found, behind a folder without it."""
        return f"{self.folder.parent}/nowhere:{self.folder}"

    def prints(self, command: str, document: Any) -> None:
        """What a command is answered with: text, or a value as JSON."""
        text = document if isinstance(document, str) else json.dumps(document)
        (self.folder / f"{command}.stdout").write_text(text)

    def fails(self, command: str, document: Any, exit_code: int = 1) -> None:
        """Let a command end with an exit code."""
        self.prints(command, document)
        (self.folder / f"{command}.exit").write_text(str(exit_code))

    @property
    def calls(self) -> list[str]:
        """The commands that it was called with, in order."""
        path = self.folder / "calls"
        return path.read_text().split() if path.exists() else []

    def stdin(self, command: str) -> bytes:
        """What it was fed with by the last call of a command."""
        return (self.folder / f"{command}.stdin").read_bytes()

    def environ(self, command: str) -> dict[str, str]:
        """The variables CNI_* of the last call of a command."""
        lines = (self.folder / f"{command}.environ").read_text().splitlines()
        return {name: value for name, _, value in (x.partition("=") for x in lines)}
