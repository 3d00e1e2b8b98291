"""A node and its pods for tests: network namespaces, and the plugin run inside.

Every node has namespaces and folders of its own, so that nothing of the machine is
touched and tests do not meet. Never knows what the plugin should do.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).parents[2] / "build" / "pycni"
PREFIX = "pycnit"
_serial = itertools.count(1)

_SNAPSHOT = (
    "ip -oneline link; ip -oneline address show scope global; ip route; ip -6 route;"
    "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding; nft list ruleset"
)
KUBELET_ARGS = (
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
    "K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=4e7b"
)


class Answer:
    """Exit code, stdout and stderr of one call."""

    def __init__(self, exit_code: int, stdout: str, stderr: str) -> None:
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr

    @property
    def json(self) -> Any:
        """The object on stdout."""
        return json.loads(self.stdout)

    @property
    def code(self) -> int:
        """The code of the error on stdout; 0 when the call succeeded."""
        return 0 if self.exit_code == 0 else self.json["code"]

    def __repr__(self) -> str:
        return f"Answer({self.exit_code}, {self.stdout!r}, {self.stderr!r})"


class Namespace:
    """A network namespace with a name below /run/netns."""

    def __init__(self) -> None:
        self.name = f"{PREFIX}-{os.getpid()}-{next(_serial)}"
        self.path = f"/run/netns/{self.name}"
        _check(["ip", "netns", "add", self.name])

    def run(self, *command: str, check: bool = True, timeout_s: float = 60) -> str:
        """Run a program inside and return its stdout, stripped; it must succeed."""
        return _check(["nsenter", f"--net={self.path}", *command], check, timeout_s)

    def succeeds(self, *command: str) -> bool:
        """Whether a program run inside exits with 0."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *command],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def ip(self, *arguments: str) -> Any:
        """What `ip -json` says inside, as a value; [] for no output."""
        return json.loads(self.run("ip", "-json", "-details", *arguments) or "[]")

    def links(self) -> dict[str, Any]:
        """Name -> what `ip link` says."""
        return {link["ifname"]: link for link in self.ip("link")}

    def addresses(self, ifname: str, family: str = "inet") -> list[str]:
        """`ADDRESS/LENGTH` of an interface, of scope global, in order."""
        found = self.ip("address", "show", "dev", ifname)[0]["addr_info"]
        return [
            f"{address['local']}/{address['prefixlen']}"
            for address in found
            if address["family"] == family and address["scope"] == "global"
        ]

    def routes(self, family: str = "-4") -> list[str]:
        """Lines of `ip route`, white space at the end removed."""
        return [line.strip() for line in self.run("ip", family, "route").splitlines()]

    def ping(self, address: str, timeout_s: int = 1) -> bool:
        """Whether one echo request is answered in time."""
        return self.succeeds("ping", "-c1", f"-W{timeout_s}", address)

    def delete(self) -> None:
        """Delete the name; the namespace goes once nothing is in it."""
        _check(["ip", "netns", "delete", self.name], check=False)


class Node(Namespace):
    """A node: a namespace to run the plugin in, with folders for what it keeps."""

    def __init__(self, folder: Path, plugin: Path = PLUGIN) -> None:
        super().__init__()
        self.plugin = plugin
        self.folder = folder
        self.run_dir = folder / "run"
        self.log = folder / "log" / "pycni.log"
        self.pods: list[Namespace] = []
        self.run("ip", "link", "set", "lo", "up")

    def pod(self) -> Namespace:
        """A new pod's namespace."""
        pod = Namespace()
        self.pods.append(pod)
        return pod

    def config(self, **changes: Any) -> dict[str, Any]:
        """The base configuration `blue` of the bug log, with changes; None removes."""
        base = {
            "cniVersion": "1.0.0",
            "name": "blue",
            "type": "pycni",
            "bridge": "pyc0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "subnet": "10.60.0.0/24",
                "routes": [{"dst": "0.0.0.0/0"}],
            },
            "runDir": str(self.run_dir),
            "stateDir": str(self.folder / "state"),
            "logFile": str(self.log),
            **changes,
        }
        return {key: value for key, value in base.items() if value is not None}

    def call(
        self,
        command: str,
        config: dict[str, Any] | bytes | None = None,
        container_id: str = "c1",
        netns: Namespace | str | None = None,
        ifname: str = "eth0",
        args: str | None = None,
        called_as: str = "pycni",
        wrapper: tuple[str, ...] = (),
        **environ: str | None,
    ) -> Answer:
        """Run the plugin once in this node. In `environ`, None removes a variable;
        `wrapper` is a program that runs the plugin, strace say."""
        process = self.start(
            command, container_id, netns, ifname, args, called_as, wrapper, **environ
        )
        stdin = config if isinstance(config, bytes) else _encode(config)
        stdout, stderr = process.communicate(stdin, timeout=120)
        return Answer(process.returncode, stdout.decode(), stderr.decode())

    def call_together(self, calls: list[dict[str, Any]]) -> list[Answer]:
        """Run the plugin many times at once; each item is the arguments of a `call`.

        All of them run before the first is given its configuration.
        """
        configs = [call["config"] for call in calls]
        started = [
            self.start(**{key: call[key] for key in call if key != "config"})
            for call in calls
        ]
        for process, config in zip(started, configs, strict=True):
            assert process.stdin is not None
            process.stdin.write(_encode(config))
            process.stdin.close()
            process.stdin = None
        answers = []
        for process in started:
            stdout, stderr = process.communicate(timeout=120)
            answers.append(Answer(process.returncode, stdout.decode(), stderr.decode()))
        return answers

    def start(
        self,
        command: str,
        container_id: str = "c1",
        netns: Namespace | str | None = None,
        ifname: str = "eth0",
        args: str | None = None,
        called_as: str = "pycni",
        wrapper: tuple[str, ...] = (),
        **environ: str | None,
    ) -> subprocess.Popen[bytes]:
        """Start the plugin; the caller feeds it its configuration."""
        path = netns.path if isinstance(netns, Namespace) else netns
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": path,
            "CNI_IFNAME": ifname,
            "CNI_PATH": str(self.plugin.parent),
            "CNI_ARGS": args,
            "PATH": os.environ["PATH"],
            **environ,
        }
        return subprocess.Popen(
            ["nsenter", f"--net={self.path}", *wrapper, str(self._named(called_as))],
            env={key: value for key, value in variables.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _named(self, called_as: str) -> Path:
        """The plugin under another name."""
        path = self.folder / "bin" / called_as
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.symlink_to(self.plugin)
        return path

    def add(
        self,
        config: dict[str, Any],
        container_id: str,
        pod: Namespace,
        **options: Any,
    ) -> Any:
        """ADD that has to succeed; returns its result. Options are those of `call`."""
        answer = self.call("ADD", config, container_id, pod, **options)
        assert answer.exit_code == 0, answer
        return answer.json

    def leases(self, network: str = "blue", data_dir: Path | None = None) -> list[str]:
        """Names of the lease files of a network, sorted."""
        folder = (data_dir or self.run_dir) / network
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        return sorted(
            name
            for name in names
            if name[0].isalnum()
            and name[-1].isalnum()
            and ("." in name or ":" in name)
            and "_" not in name
        )

    def records(self, network: str = "blue", data_dir: Path | None = None) -> list[str]:
        """Names of the attachment records of a network, sorted."""
        folder = (data_dir or self.run_dir) / network / "attachments"
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        return sorted(name for name in names if not name.startswith("."))

    def ruleset(self) -> str:
        """The whole nftables ruleset of the node."""
        return self.run("nft", "list", "ruleset")

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of the plugin's log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def files(self) -> dict[str, bytes]:
        """Path -> content of all files that the plugin keeps, without its log; a
        folder ends with a slash."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if name.partition("/")[0] in ("log", "bin"):
                continue
            if path.is_dir():
                found[f"{name}/"] = b""
            else:
                found[name] = path.read_bytes()
        return found

    def snapshot(self) -> dict[str, Any]:
        """All that a call could change: links, addresses, routes, ruleset, files."""
        kernel = self.run("sh", "-c", _SNAPSHOT).replace(" tentative", "")
        # The kernel adds and removes those of link-local addresses in its own time.
        lines = [line for line in kernel.splitlines() if "fe80:" not in line]
        return {"kernel": lines, "files": self.files()}

    def delete(self) -> None:
        """Delete the node and its pods."""
        for pod in self.pods:
            pod.delete()
        super().delete()


def _encode(config: dict[str, Any] | None) -> bytes:
    return b"" if config is None else json.dumps(config).encode()


def _check(command: list[str], check: bool = True, timeout_s: float = 60) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout.strip()


def remove_leftovers() -> None:
    """Delete namespaces that a killed test run of ours left behind."""
    for line in _check(["ip", "netns", "list"]).splitlines():
        name = line.split()[0]
        owner = name.removeprefix(f"{PREFIX}-").partition("-")[0]
        if name.startswith(f"{PREFIX}-") and not Path(f"/proc/{owner}").exists():
            _check(["ip", "netns", "delete", name], check=False)
