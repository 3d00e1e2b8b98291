"""The only file with a netlink socket: send requests, await every answer.

Never retries and never interprets: an error comes back as NetlinkError with the
kernel's own words.
"""

from __future__ import annotations

from _socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket
from errno import EINTR
from posix import strerror

from plugin.errors import NetlinkError
from plugin.netlink import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.netlink.codec import Message

ROUTE = 0  # NETLINK_ROUTE
NETFILTER = 12  # NETLINK_NETFILTER

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
# A dump comes in pieces of at most 32 kB (net/netlink/af_netlink.c, netlink_dump).
_RECEIVE = 32768
# So many requests go at once: their answers have to fit into the socket's buffer,
# or the kernel drops some (ENOBUFS).
_AT_ONCE = 32
# A dump is asked for so often before the kernel's word that it was disturbed counts.
_DUMPS = 20


class Answer:
    """What came back for one request: its payloads, and the error, if any."""

    __slots__ = ("error", "payloads")

    def __init__(self) -> None:
        self.error: NetlinkError | None = None
        self.payloads: list[bytes] = []


class Channel:
    """A netlink socket of the network namespace that it was opened in."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        if protocol == ROUTE:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def exchange(self, messages: list[Message]) -> list[Answer]:
        """Send messages, many at once, and return the answer to each, errors included.

        The kernel works through them in order and goes on after an error.
        """
        answers: list[Answer] = []
        for start in range(0, len(messages), _AT_ONCE):
            answers += self._exchange(messages[start : start + _AT_ONCE])
        return answers

    def _exchange(self, messages: list[Message]) -> list[Answer]:
        first = self._sequence + 1
        self._sequence += len(messages)
        data = [codec.encode(m, first + i) for i, m in enumerate(messages)]
        self._socket.send(b"".join(data))
        answers = [Answer() for _ in messages]
        pending = len(messages)
        while pending:
            for kind, flags, sequence, payload in codec.decode(
                self._socket.recv(_RECEIVE)
            ):
                index = sequence - first
                if not 0 <= index < len(messages):
                    continue
                answer, message = answers[index], messages[index]
                if flags & codec.NLM_F_DUMP_INTR:
                    answer.error = _disturbed(message)
                if kind in (codec.NLMSG_ERROR, codec.NLMSG_DONE):
                    # A dump that fails half-way says so at its end.
                    answer.error = _error(message, kind, flags, payload) or answer.error
                    pending -= 1
                else:
                    answer.payloads.append(payload)
        return answers

    def execute(self, messages: list[Message]) -> list[Answer]:
        """Send all messages; raise the first error once every answer is there."""
        answers = self.exchange(messages)
        for answer in answers:
            if answer.error:
                raise answer.error
        return answers

    def dump(self, message: Message) -> list[bytes]:
        """The payloads of a dump; asked again when the kernel says it was disturbed."""
        attempts = 0
        while True:
            attempts += 1
            try:
                return self.execute([message])[0].payloads
            except NetlinkError as error:
                if error.errno != EINTR or attempts == _DUMPS:
                    raise

    def transaction(
        self, begin: Message, messages: list[Message], end: Message
    ) -> None:
        """Send one nf_tables batch: all of it happens, or nothing and the first error.

        Its frame has no acknowledgement of its own, so the frame's answers are not
        awaited.
        """
        first = self._sequence + 1
        self._sequence += len(messages) + 2
        data = [_frame(begin, first)]
        data += [codec.encode(m, first + 1 + i) for i, m in enumerate(messages)]
        data.append(_frame(end, first + 1 + len(messages)))
        self._socket.send(b"".join(data))
        error = None
        pending = len(messages)
        while pending:
            for kind, flags, sequence, payload in codec.decode(
                self._socket.recv(_RECEIVE)
            ):
                index = sequence - first - 1
                if kind != codec.NLMSG_ERROR or index >= len(messages):
                    continue
                if index < 0:
                    raise _error(begin, kind, flags, payload) or _lost(begin)
                error = error or _error(messages[index], kind, flags, payload)
                pending -= 1
        if error:
            raise error


def _frame(message: Message, sequence: int) -> bytes:
    header = codec.HEADER.pack(
        16 + len(message.body), message.kind, codec.NLM_F_REQUEST, sequence, 0
    )
    return header + message.body


def _error(
    message: Message, kind: int, flags: int, payload: bytes
) -> NetlinkError | None:
    code, text = codec.decode_error(kind, flags, payload)
    if not code:
        return None
    return NetlinkError(message.operation, code, strerror(code), text)


def _disturbed(message: Message) -> NetlinkError:
    """What a dump lists changed meanwhile, so that something may be missing in it."""
    return NetlinkError(message.operation, EINTR, strerror(EINTR))


def _lost(message: Message) -> NetlinkError:
    return NetlinkError(message.operation, 0, "no answer")
