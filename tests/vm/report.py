"""What a scenario printed, as values that a test can compare whole.

Names and addresses that differ from run to run get a name that tells their part:
HOST is the host's end of the pod's veth pair, PEER the one beside a VLAN's gateway,
link-local stands for any address in fe80::/10.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

PART = re.compile(r"^== (.+)\n", re.MULTILINE)
ADDED = re.compile(r"(?P<result>.*)\nexit (?P<status>\d+)", re.DOTALL)
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
GATEWAY_PEER = re.compile(r"^bridge0\.\d+@(\S+)", re.MULTILINE)
LINK_LOCAL = re.compile(r"\bfe80::\S+/64")

Parts = dict[str, str]


def parts_of(output: str) -> Parts:
    """Return the text of each part by its title."""
    _, *titles_and_texts = PART.split(output)
    titles, texts = titles_and_texts[::2], titles_and_texts[1::2]
    return {title: text.strip() for title, text in zip(titles, texts, strict=True)}


def added(part: str) -> tuple[dict[str, Any], int]:
    """Return the object that the plugin printed and its exit status."""
    found = ADDED.fullmatch(part)
    if not found:
        raise ValueError(f"the plugin printed no object: {part!r}")
    return json.loads(found["result"]), int(found["status"])


@dataclass(frozen=True)
class Report:
    """One case of vlan.sh."""

    parts: Parts
    case: str

    def result(self) -> dict[str, Any]:
        """Return the result of ADD."""
        return added(self.parts[f"{self.case} add"])[0]

    def interfaces(self) -> list[tuple[str, bool, str]]:
        """Return name, whether the MAC is one, and sandbox of each in the result."""
        found = self.result()["interfaces"]
        return [
            (
                self._renamed(each["name"]),
                bool(MAC.fullmatch(each["mac"])),
                each.get("sandbox", ""),
            )
            for each in found
        ]

    def ips(self) -> list[tuple[str, str, int]]:
        """Return address, gateway and interface of each address in the result."""
        found = self.result().get("ips", [])
        return [(each["address"], each["gateway"], each["interface"]) for each in found]

    def vlans(self) -> dict[str, list[str]]:
        """Return the VLANs of each port, as `bridge vlan show` prints them."""
        ports: dict[str, list[str]] = {}
        port = ""
        for line in self._lines("vlans")[1:]:
            words = line.split()
            if not line[0].isspace():
                port = words.pop(0)
                ports[port] = []
            ports[port].append(" ".join(words))
        return ports

    def addresses(self, part: str) -> dict[str, list[str]]:
        """Return the addresses of each link, in order, as `ip -brief` prints them.

        Those of lo are left out: a plugin may bring it up, or leave that to others.
        """
        links = (re.sub(r"@if\d+", "", line).split() for line in self._lines(part))
        return {
            name: [] if name == "lo" else sorted(addresses)
            for name, _, *addresses in links
        }

    def node(self, part: str = "node") -> dict[str, list[str]]:
        """Return the addresses of each link of the node, but the link-local ones."""
        return {
            name: [address for address in addresses if address != "link-local"]
            for name, addresses in self.addresses(part).items()
        }

    def routes(self) -> list[str]:
        """Return the pod's routes in both families, in order.

        The mark `proto static` is left out: the reference plugin gives none.
        """
        lines = self._lines("routes")
        return sorted(line.replace(" proto static", "").strip() for line in lines)

    def text(self, part: str) -> str:
        """Return a part with the names that differ replaced."""
        return self._renamed(
            LINK_LOCAL.sub("link-local", self.parts[f"{self.case} {part}"])
        )

    def _lines(self, part: str) -> list[str]:
        return self.text(part).splitlines()

    def _renamed(self, text: str) -> str:
        """Return text with the names of the two host ends replaced."""
        host = self.result()["interfaces"][1]["name"]
        peer = GATEWAY_PEER.search(self.parts[f"{self.case} node"])
        text = re.sub(rf"\b{re.escape(host)}\b", "HOST", text)
        return re.sub(rf"\b{re.escape(peer[1])}\b", "PEER", text) if peer else text
