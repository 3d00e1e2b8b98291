"""A node as a runtime sees it: /opt/cni/bin, /etc-like configurations, /var/lib, /run.

Whatever runs inside has mount and network namespaces of its own, which the kernel
removes with the last process, also after a crash. Never knows what a plugin should do.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.acceptance.programs import BUILT, PLUGIN, ROOT
from tests.kernel.node import Answer, Namespace, Node

if TYPE_CHECKING:
    from pathlib import Path

# Inside, the repository is at /mnt; folders of the node lie over those of the machine.
SANDBOX = """
set -eu
node=$1 root=$2 pods=$3
shift 3
mount --bind "$root" /mnt
[ "$pods" = private ] || mount --rbind /run/netns "$node/run/netns"
for place in opt run var/lib var/log; do
    mount --rbind "$node/$place" "/$place"
done
exec "$@"
"""
PLACES = ("opt/cni/bin", "run/netns", "var/lib", "var/log", "net.d")

# Answers every connection with the address that it came from.
SERVER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=family) as server:
    print("ready", flush=True)
    while True:
        connection, peer = server.accept()
        connection.sendall(peer[0].encode())
        connection.close()
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3) as server:
    print(server.recv(100).decode())
"""


class Host(Node):
    """A node with plugins in /opt/cni/bin and configurations in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for place in PLACES:
            (folder / place).mkdir(parents=True)
        # The plugin's defaults, as they look from outside.
        self.run_dir = folder / "run" / "pycni"
        self.log = folder / "var" / "log" / "pycni" / "pycni.log"
        self.servers: list[subprocess.Popen[str]] = []

    def install(self, **plugins: Path) -> None:
        """Put files of the repository into /opt/cni/bin; `_` in a name stands for -."""
        for name, path in plugins.items():
            link = self.folder / "opt/cni/bin" / name.replace("_", "-")
            link.symlink_to("/mnt" / path.relative_to(ROOT))

    def install_ours(self, *names: str) -> None:
        """Put our file into /opt/cni/bin under these names."""
        for name in names:
            self.install(**{name: PLUGIN})

    def write_list(
        self, *plugins: dict[str, Any], version: str | None = "1.1.0", **keys: Any
    ) -> None:
        """Write the network list `blue`, the only one of this node."""
        document = {"cniVersion": version, "name": "blue", **keys, "plugins": plugins}
        if version is None:
            del document["cniVersion"]
        path = self.folder / "net.d" / "10-blue.conflist"
        path.write_text(json.dumps(document))

    def run_inside(
        self,
        *command: str,
        own_pods: bool = False,
        cwd: Path | None = None,
        timeout_s: float = 60,
        environ: dict[str, str],
    ) -> Answer:
        """Run a program in the node. With `own_pods` it has /run/netns for itself, and
        all processes that it starts end with it."""
        alone = ["--pid", "--fork", "--kill-child", "--mount-proc"] if own_pods else []
        enter = ["setpriv", "--pdeathsig=KILL", "nsenter", f"--net={self.path}"]
        enter += ["unshare", "--mount", "--propagation", "private", *alone]
        pods = "private" if own_pods else "shared"
        sandbox = ["sh", "-c", SANDBOX, "sandbox", str(self.folder), str(ROOT), pods]
        done = subprocess.run(
            [*enter, *sandbox, *command],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def cnitool(
        self, command: str, pod: Namespace | None = None, **environ: str
    ) -> Answer:
        """Run cnitool on the network list."""
        arguments = (command, "blue", pod.path if pod else "/none")
        return self._drive("cnitool", *arguments, CNI_PATH="/opt/cni/bin", **environ)

    def runtime(self, *arguments: str, **environ: str) -> Answer:
        """Run our runtime, which is containerd's library, on the network list."""
        return self._drive("runtime", *arguments, **environ)

    def _drive(self, program: str, *arguments: str, **environ: str) -> Answer:
        path = "/mnt" / (BUILT / program).relative_to(ROOT)
        environ["NETCONFPATH"] = str(self.folder / "net.d")
        return self.run_inside(str(path), *arguments, environ=environ)

    def attach(self, pod: Namespace, **environ: str) -> Any:
        """`cnitool add` that has to succeed; returns its result."""
        answer = self.cnitool("add", pod, **environ)
        assert answer.exit_code == 0, answer
        return answer.json

    def cached(self) -> list[str]:
        """The attachments that libcni remembers, as the files that it keeps."""
        folder = self.folder / "var/lib/cni/results"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def serve(self, pod: Namespace, address: str, port: int) -> None:
        """Answer connections in a pod, until the node is deleted."""
        command = [sys.executable, "-c", SERVER, address, str(port)]
        server = subprocess.Popen(
            ["nsenter", f"--net={pod.path}", "setpriv", "--pdeathsig=KILL", *command],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        assert server.stdout
        assert server.stdout.readline() == "ready\n"

    def delete(self) -> None:
        """Delete the node, its pods and what runs in them."""
        for server in self.servers:
            server.kill()
            server.communicate()
        super().delete()


def ask(client: Namespace, address: str, port: int) -> str:
    """Connect from a namespace; the source address that the server has seen."""
    return client.run(sys.executable, "-c", CLIENT, address, str(port))


def container_id(pod: Namespace) -> str:
    """The container id that cnitool makes of a path."""
    return f"cnitool-{hashlib.sha512(pod.path.encode()).digest()[:10].hex()}"
