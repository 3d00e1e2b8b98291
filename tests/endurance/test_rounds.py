"""The same again and again: what leaks a little each time shows in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.test_delete import left_over

if TYPE_CHECKING:
    from tests.kernel.node import Node


@pytest.mark.timeout(180)
def test_300_failed_sandboxes_leak_nothing(node: Node) -> None:
    """After 300 rounds of ADD, a failing second plugin and DEL nothing is held (B2)."""
    config = node.config(ipam={"type": "host-local", "subnet": "10.60.0.0/29"})
    later = {"type": "portmap", "runtimeConfig": {"portMappings": [{"hostPort": 80}]}}
    pod = node.pod()

    for number in range(300):
        result = node.add(config, f"c{number}", pod)
        chained = {**config, **later, "prevResult": result}
        failed = node.call("ADD", chained, f"c{number}", pod, called_as="portmap")
        assert failed.code == 2
        # The runtime deletes in reverse order, the one that failed too.
        for name in ("portmap", "pycni"):
            deleted = {**chained, "type": name}
            answer = node.call("DEL", deleted, f"c{number}", pod, called_as=name)
            assert repr(answer) == "Answer(0, '', '')"

    assert left_over(node) == ([], [], "")
    assert (sorted(node.links()), sorted(pod.links())) == (["lo", "pyc0"], ["lo"])
    assert [name for name in node.files() if ".tmp" in name] == []
