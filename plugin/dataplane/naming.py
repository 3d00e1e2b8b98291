"""Names of host interfaces, and the alias that says whose they are.

An attachment's host end has a name made from the attachment, so that it can be found
without a record, and an alias `pycni NETWORK CONTAINERID IFNAME ADDRESS,ADDRESS`,
written last: a host end without it was never finished. Where that is too long it is
`pycni` alone, and the name says whose it is.
"""

from __future__ import annotations

from errno import ENODEV

from plugin import errors
from plugin.address import parse_address, render_address
from plugin.errors import CNIError
from plugin.netlink import rtnetlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.netlink.channel import Channel

# IFALIASZ of linux/if.h is 256 with the closing zero.
_ALIAS_LENGTH = 255
_MARK = "pycni"
_RELEASED = "pycni-released"
# The largest prime below 2**44: eleven hexadecimal digits, which with "veth" make 15.
_PRIME = 17592186044399


class Owner:
    """Whose an interface is: what its alias says."""

    __slots__ = ("addresses", "container_id", "ifname", "network")

    def __init__(
        self, network: str, container_id: str, ifname: str, addresses: list[bytes]
    ) -> None:
        self.network = network
        self.container_id = container_id
        self.ifname = ifname
        self.addresses = addresses


def host_name(network: str, container_id: str, ifname: str, attempt: int = 0) -> str:
    """`veth` and eleven digits, the same for the same attachment."""
    text = f"{network} {container_id} {ifname} {attempt}"
    return f"veth{int.from_bytes(text.encode(), 'big') % _PRIME:011x}"


def free_name(channel: Channel, seed: str) -> str:
    """A name that no link has."""
    for attempt in range(100):
        name = host_name(seed, "", "", attempt)
        answer = channel.exchange([rtnetlink.link_by_name(name)])[0]
        if answer.error and answer.error.errno == ENODEV:
            return name
    raise CNIError(errors.TRY_AGAIN_LATER, f"no free interface name for {seed}")


def render_alias(owner: Owner) -> str:
    """The alias of a finished attachment; addresses that do not fit are left out."""
    alias = f"{_MARK} {owner.network} {owner.container_id} {owner.ifname}"
    texts = ",".join([render_address(address) for address in owner.addresses])
    if texts and len(alias.encode()) + 1 + len(texts) <= _ALIAS_LENGTH:
        alias += f" {texts}"
    return alias if len(alias.encode()) <= _ALIAS_LENGTH else _MARK


def released_alias(alias: str) -> str:
    """The alias of a host end whose attachment was deleted and whose netns is dying."""
    return f"{_RELEASED}{alias[len(_MARK) :]}" if is_ours(alias) else _RELEASED


def is_ours(alias: str) -> bool:
    """Whether the alias is one of a finished attachment."""
    return alias == _MARK or alias.startswith(f"{_MARK} ")


def is_released(alias: str) -> bool:
    """Whether the alias says that the attachment was deleted."""
    return alias.startswith(_RELEASED)


def parse_alias(alias: str) -> Owner | None:
    """Whose a host end is; None if the alias is not ours."""
    words = alias.split(" ")
    if words[0] != _MARK or len(words) not in (4, 5):
        return None
    addresses = []
    for text in words[4].split(",") if len(words) == 5 else ():
        try:
            addresses.append(parse_address(text))
        except ValueError:
            continue
    return Owner(words[1], words[2], words[3], addresses)


def is_owner(alias: str, container_id: str, ifname: str) -> bool:
    """Whether the alias names this attachment.

    Where the names are too long for an alias it is the mark alone, and the name of the
    host end, which is made from the attachment, has to say the rest.
    """
    if alias == _MARK:
        return True
    owner = parse_alias(alias)
    return (
        owner is not None
        and owner.container_id == container_id
        and owner.ifname == ifname
    )
