"""The protocol of the CNI specification as tables: versions, commands, environment.

Never reads anything: the caller hands over the environment and the bytes of stdin.
https://www.cni.dev/docs/spec/ version 1.1.0; statement ids such as EN2 are those of
the test names.
"""

from __future__ import annotations

from plugin import errors
from plugin.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = VERSIONS[-1]
# A configuration without a version is of the first one (CF8, as in Go).
IMPLIED = VERSIONS[0]

# Command -> the variables it needs beside CNI_COMMAND (EN1), the version it came with.
COMMANDS = {
    "ADD": (("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"), "0.1.0"),
    "DEL": (("CNI_CONTAINERID", "CNI_IFNAME"), "0.1.0"),
    "CHECK": (("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"), "0.4.0"),
    "GC": (("CNI_PATH",), "1.1.0"),
    "STATUS": ((), "1.1.0"),
    "VERSION": ((), "0.1.0"),
}

VARIABLES = (
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_IFNAME",
    "CNI_PATH",
    "CNI_ARGS",
)

# IFNAMSIZ of linux/if.h is 16 with the closing zero.
IFNAME_LENGTH = 15
# A container id is part of file names, which end at 255 bytes.
CONTAINER_ID_LENGTH = 200
NETWORK_NAME_LENGTH = 200


class Request:
    """One call of the plugin: what the environment says."""

    __slots__ = ("args", "command", "container_id", "ifname", "netns", "path")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.command = environ.get("CNI_COMMAND", "")
        self.container_id = environ.get("CNI_CONTAINERID", "")
        self.netns = environ.get("CNI_NETNS", "")
        self.ifname = environ.get("CNI_IFNAME", "")
        self.path = environ.get("CNI_PATH", "")
        self.args: dict[str, str] = {}

    @property
    def by_kubelet(self) -> bool:
        """Whether a kubelet is behind the call: the netns dies right after DEL."""
        return "K8S_POD_NAME" in self.args

    @property
    def pod(self) -> str:
        """`NAMESPACE/NAME` of the pod, or an empty string."""
        if not self.by_kubelet:
            return ""
        namespace = self.args.get("K8S_POD_NAMESPACE", "")
        return f"{namespace}/{self.args['K8S_POD_NAME']}"


def parse_request(environ: Mapping[str, str]) -> Request:
    """Check the environment of one call; all its problems make one error (EN2)."""
    request = Request(environ)
    command = COMMANDS.get(request.command)
    if command is None:
        raise CNIError(
            errors.INVALID_ENVIRONMENT,
            f"CNI_COMMAND: unknown command {request.command!r}",
            f"known commands: {', '.join(COMMANDS)}",
        )
    missing = [name for name in command[0] if not environ.get(name)]
    problems = [_missing_sentence(missing)] if missing else []
    if "CNI_CONTAINERID" in command[0] and request.container_id:
        problems += container_id_problems(request.container_id)
    if "CNI_IFNAME" in command[0] and request.ifname:
        problems += ifname_problems("CNI_IFNAME", request.ifname)
    try:
        request.args = parse_args(environ.get("CNI_ARGS", ""))
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise CNIError(errors.INVALID_ENVIRONMENT, "; ".join(problems))
    return request


def _missing_sentence(names: list[str]) -> str:
    return f"required environment variables missing: {', '.join(names)}"


def parse_args(text: str) -> dict[str, str]:
    """Parse CNI_ARGS, `K=V` pairs parted by `;` (EN5); unknown keys are kept."""
    args = {}
    for pair in text.split(";") if text else ():
        key, _, value = pair.partition("=")
        if pair.count("=") != 1 or not key:
            raise ValueError(f"CNI_ARGS: {pair!r} is not one KEY=VALUE pair")
        args[key] = value
    return args


def container_id_problems(container_id: str) -> list[str]:
    """What is wrong with a container id (EN3), as sentences."""
    problems = []
    if not is_name(container_id):
        problems.append(
            f"CNI_CONTAINERID: {container_id[:64]!r} must begin with a letter or digit "
            "and go on with letters, digits, '_', '.' or '-'"
        )
    if len(container_id) > CONTAINER_ID_LENGTH:
        problems.append(
            f"CNI_CONTAINERID: {len(container_id)} characters, "
            f"{CONTAINER_ID_LENGTH} are possible"
        )
    return problems


def ifname_problems(field: str, name: str) -> list[str]:
    """What is wrong with an interface name (EN4), as sentences."""
    if len(name.encode()) > IFNAME_LENGTH:
        return [f"{field}: {name[:64]!r} is longer than {IFNAME_LENGTH} bytes"]
    # The kernel takes a name with '%' for a pattern, and makes another one of it.
    if name in (".", "..") or "%" in name or not name.isprintable():
        return [f"{field}: {name!r} is not an interface name"]
    for character in name:
        if character in "/:" or character.isspace():
            return [f"{field}: {name!r} has '/', ':' or white space in it"]
    return []


def is_name(text: str) -> bool:
    """Whether the text is a name by the specification: [a-zA-Z0-9][a-zA-Z0-9_.-]*."""
    plain = text.replace("_", "a").replace(".", "a").replace("-", "a")
    return plain.isascii() and plain.isalnum() and text[0] not in "_.-"


def check_version(command: str, version: str) -> None:
    """Raise code 1 for a version that we, or the command, do not have (CF9, CK5)."""
    if version not in VERSIONS:
        raise CNIError(
            errors.INCOMPATIBLE_VERSION,
            f"cniVersion: {version!r} is not supported",
            f"supported versions: {', '.join(VERSIONS)}",
        )
    since = COMMANDS[command][1]
    if VERSIONS.index(version) < VERSIONS.index(since):
        raise CNIError(
            errors.INCOMPATIBLE_VERSION,
            f"cniVersion: {version} has no {command}, it came with {since}",
            f"supported versions: {', '.join(VERSIONS)}",
        )


def at_least(version: str, floor: str) -> bool:
    """Whether a known version is `floor` or newer."""
    return VERSIONS.index(version) >= VERSIONS.index(floor)
