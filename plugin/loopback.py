"""What the file does when it is called `loopback`: bring `lo` of a pod up, and down."""

from __future__ import annotations

import posix

from plugin import errors, netns
from plugin.address import parse_prefix
from plugin.dataplane.bridge import find_link
from plugin.errors import CNIError
from plugin.fields import member
from plugin.netlink import channel as netlink
from plugin.netlink import rtnetlink
from plugin.netlink.channel import Channel
from plugin.result import Interface, IPConfig, Result, parse_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.call import Call
    from plugin.netlink.rtnetlink import Link

_MAC = "00:00:00:00:00:00"
_ADDRESSES = ("127.0.0.1/8", "::1/128")


def _set(path: str, flags: int) -> Link:
    """Set the flags of lo in the namespace of a path, and look at it."""
    own = netns.open_own()
    pod = netns.require_netns(path)
    netns.enter(pod)
    try:
        channel = Channel(netlink.ROUTE)
        if flags >= 0:
            up = rtnetlink.IFF_UP
            channel.execute([rtnetlink.set_flags(1, flags, up, "set the flags of lo")])
        link = find_link(channel, "lo")
        channel.close()
    finally:
        netns.enter(own)
        posix.close(own)
        posix.close(pod)
    if link is None:
        raise CNIError(errors.KERNEL_REFUSED, f"{path} has no interface lo")
    return link


def add(call: Call) -> Result:
    """Bring lo up; a prevResult is passed on."""
    request = call.request
    _set(request.netns, rtnetlink.IFF_UP)
    previous = member(call.document, "prevResult")
    if previous:
        return parse_result(previous, call.version)
    result = Result()
    result.interfaces = [Interface("lo", _MAC, sandbox=request.netns)]
    result.ips = [IPConfig(parse_prefix(text), interface=0) for text in _ADDRESSES]
    return result


def delete(call: Call) -> None:
    """Set lo down, where its namespace is still there."""
    try:
        if call.request.netns:
            _set(call.request.netns, 0)
    except CNIError as error:
        if error.code != errors.INVALID_ENVIRONMENT:
            raise


def check(call: Call) -> None:
    """Raise unless lo is up."""
    if not _set(call.request.netns, -1).is_up:
        raise CNIError(errors.CHECK_FAILED, "interface lo is down")


def nothing(call: Call) -> None:
    """Nothing is kept, nothing can be full."""


collect_garbage = status = nothing
