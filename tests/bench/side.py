"""One plugin on one node with one network: its calls, each timed as a whole process.

Never compares: a side knows nothing of the other ones. Each has a node (a network
namespace), a bridge, a subnet, a network name and a store of its own.

A call is what a container runtime does: environment and configuration in, one process
from start to exit, result out. The clock runs around that process alone; making the
pod, writing the configuration and checking the result are outside of it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import lab
from .reference import BenchError

if TYPE_CHECKING:
    from pathlib import Path

RESIDENTS = 10  # pods that stay, so that no measured DEL empties the network
IFNAME = "eth0"
_sides = itertools.count()
_pods = itertools.count()


@dataclass(frozen=True)
class Plugin:
    """An executable, the type by which a configuration names it, and CNI_PATH."""

    label: str
    path: Path
    type: str
    search: str


@dataclass
class Pod:
    """A pod's network namespace and what ADD answered for it."""

    kubelet: bool
    name: str = field(default_factory=lambda: f"pod-{next(_pods)}")
    netns: lab.Namespace = field(default_factory=lab.Namespace)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def container_id(self) -> str:
        """Sixty-four hexadecimal digits, as containerd's."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def address(self) -> str:
        """The address that ADD gave, without its prefix length."""
        return str(self.result["ips"][0]["address"]).partition("/")[0]

    @property
    def host_link(self) -> str:
        """The host's end of the pod's veth pair."""
        links = self.result["interfaces"]
        ends = [link["name"] for link in links if not link.get("sandbox")]
        return str(next(name for name in ends if not name.startswith("bench")))

    @property
    def arguments(self) -> str:
        """CNI_ARGS: kubelet's for its pods, nothing for a plain container."""
        if not self.kubelet:
            return ""
        return (
            f"IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME={self.name};"
            f"K8S_POD_INFRA_CONTAINER_ID={self.container_id};"
            "K8S_POD_UID=6c0cbf42-6c5d-4f3c-9d07-2b1d3c1f5a11"
        )


class Side:
    """A plugin with a node and a network, and pods that stay."""

    def __init__(self, plugin: Plugin, **options: object) -> None:
        """Make the node and attach the residents; options go into the configuration."""
        number = next(_sides)
        self.plugin = plugin
        self.name = f"bench-{number}"
        self.folder = lab.RUN / self.name
        self.folder.mkdir()
        self.subnet = f"10.{100 + number}.0.0/16"
        self.config = self._config(f"bench{number}", options)
        self.node = lab.Namespace()
        self.residents = [Pod(kubelet=True) for _ in range(RESIDENTS)]
        for pod in self.residents:
            self.add(pod)

    @property
    def store(self) -> Path:
        """Where the plugin keeps the leases of this network."""
        return self.folder / "leases" / self.name

    def add(self, pod: Pod) -> int:
        """ADD; return the nanoseconds it took."""
        return self.add_all([pod])

    def delete(self, pod: Pod) -> int:
        """DEL; return the nanoseconds it took."""
        return self.delete_all([pod])

    def add_all(self, pods: list[Pod]) -> int:
        """ADD of all pods at once; return nanoseconds from first start to last end."""
        taken = self._run("ADD", pods)
        for pod in pods:
            pod.result = json.loads(self._file(pod, "out").read_bytes())
            self._check_added(pod)
        return taken

    def delete_all(self, pods: list[Pod]) -> int:
        """DEL of all pods at once; return nanoseconds from first start to last end."""
        taken = self._run("DEL", pods)
        for pod in pods:
            self._check_deleted(pod)
        return taken

    def await_gone(self, pods: list[Pod]) -> None:
        """Wait until the links of these pods, whose namespaces went, are gone."""
        self.node.enter()
        left = lab.await_gone([pod.host_link for pod in pods])
        if left:
            raise BenchError(f"{self.plugin.label}: links outlive their pods: {left}")

    def close(self) -> None:
        """Give the node, its pods and its files back."""
        self.node.enter()
        for pod in self.residents:
            pod.netns.remove()
        self.node.remove()
        shutil.rmtree(self.folder)

    def _config(self, bridge: str, options: dict[str, object]) -> dict[str, object]:
        return {
            "cniVersion": "1.0.0",
            "name": self.name,
            "type": self.plugin.type,
            "bridge": bridge,
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": self.subnet}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(self.folder / "leases"),
            },
            **options,
        }

    def _run(self, command: str, pods: list[Pod]) -> int:
        """Run one process a pod, all at once, each to its good end."""
        for pod in pods:
            self._write_config(pod)
        calls = [self._call(command, pod) for pod in pods]
        program = os.fspath(self.plugin.path)
        self.node.enter()
        started = time.perf_counter_ns()
        pids = [
            os.posix_spawn(program, [program], environ, file_actions=actions)
            for environ, actions in calls
        ]
        statuses = [os.waitpid(pid, 0)[1] for pid in pids]
        taken = time.perf_counter_ns() - started
        for pod, status in zip(pods, statuses, strict=True):
            if status:
                raise BenchError(self._failure(command, pod, status))
        return taken

    def _call(self, command: str, pod: Pod) -> tuple[dict[str, str], list[Any]]:
        environ = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": pod.container_id,
            "CNI_NETNS": os.fspath(pod.netns.path),
            "CNI_IFNAME": IFNAME,
            "CNI_ARGS": pod.arguments,
            "CNI_PATH": self.plugin.search,
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        }
        write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, self._file(pod, "in"), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, self._file(pod, "out"), write, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, self._file(pod, "err"), write, 0o600),
        ]
        return environ, actions

    def _write_config(self, pod: Pod) -> None:
        """Write stdin as libcni does: with the earlier result when there is one."""
        config = dict(self.config)
        if pod.result:
            config["prevResult"] = pod.result
        self._file(pod, "in").write_text(json.dumps(config))

    def _file(self, pod: Pod, end: str) -> Path:
        return self.folder / f"{pod.name}.{end}"

    def _failure(self, command: str, pod: Pod, status: int) -> str:
        texts = [self._file(pod, end).read_text().strip() for end in ("out", "err")]
        code = os.waitstatus_to_exitcode(status)
        return f"{self.plugin.label}: {command} ended with {code}: {' '.join(texts)}"

    def _check_added(self, pod: Pod) -> None:
        """A fast plugin that does nothing would win: see that there is a pod on it."""
        self.node.enter()
        prefix = self.subnet.removesuffix("0.0/16")
        if not pod.address.startswith(prefix) or not lab.has_link(pod.host_link):
            raise BenchError(f"{self.plugin.label}: ADD made nothing: {pod.result}")
        if not (self.store / pod.address).exists():
            raise BenchError(f"{self.plugin.label}: no lease of {pod.address}")

    def _check_deleted(self, pod: Pod) -> None:
        """The lease is free; so is the link, unless kubelet ends the namespace."""
        if (self.store / pod.address).exists():
            raise BenchError(f"{self.plugin.label}: DEL kept {pod.address}")
        if not pod.kubelet and lab.has_link(pod.host_link):
            raise BenchError(f"{self.plugin.label}: DEL kept {pod.host_link}")
