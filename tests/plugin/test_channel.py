"""The netlink channel against a kernel that is a function from request to replies."""

from __future__ import annotations

from errno import EEXIST, EINTR, ENOENT, EPERM
from typing import TYPE_CHECKING

import pytest

from plugin.errors import NetlinkError
from plugin.netlink import channel, codec, nftables, rtnetlink
from plugin.netlink.channel import Channel
from plugin.netlink.codec import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.fakes import FakeKernel, Request

    Install = Callable[[Callable[[Request], list[bytes]]], FakeKernel]

ASK = Message(18, 0, b"\0\0\0\0", "look up link a")
ADD = Message(16, 0, b"\0\0\0\0", "add link b")
LIST = Message(18, codec.NLM_F_DUMP, b"\0\0\0\0", "list links")


def test_every_request_gets_its_own_answer(kernel: Install) -> None:
    """Answers belong to the request of their sequence number, in whatever order."""
    waiting: list[Request] = []

    def answer(request: Request) -> list[bytes]:
        waiting.append(request)
        if len(waiting) < 2:
            return []
        first, second = waiting
        found = first.reply(16, b"link", codec.NLM_F_MULTI)
        return [second.refuse(EEXIST), found + first.acknowledge()]

    kernel(answer)
    asked, added = Channel(channel.ROUTE).exchange([ASK, ADD])

    assert (asked.error, asked.payloads) == (None, [b"link"])
    assert str(added.error) == "add link b: File exists"
    assert added.payloads == []


@pytest.mark.parametrize(
    ("text", "capped", "want"),
    [
        ("", True, "add link b: Operation not permitted"),
        ("", False, "add link b: Operation not permitted"),
        ("no, since I say so", True, "add link b: no, since I say so"),
        ("no, since I say so", False, "add link b: no, since I say so"),
    ],
)
def test_an_error_has_the_kernels_own_words(
    kernel: Install, text: str, capped: bool, want: str
) -> None:
    """An error names the operation, and its extended-ack text where there is one."""
    kernel(lambda request: [request.refuse(EPERM, text, capped)])

    with pytest.raises(NetlinkError) as caught:
        Channel(channel.ROUTE).execute([ADD])

    assert str(caught.value) == want
    assert (caught.value.errno, caught.value.text) == (EPERM, text)


def test_the_first_error_is_raised_when_all_answers_are_there(kernel: Install) -> None:
    """Of several errors the first is raised, and the next call starts clean."""
    fake = kernel(
        lambda request: [request.refuse(EPERM if request.kind == 18 else EEXIST)]
    )
    host = Channel(channel.ROUTE)

    with pytest.raises(NetlinkError, match="look up link a"):
        host.execute([ASK, ADD])

    fake.answer = lambda request: [request.acknowledge()]
    assert [answer.error for answer in host.execute([ASK])] == [None]


def test_answers_to_somebody_else_are_left_out(kernel: Install) -> None:
    """Messages of another sequence number, events say, are nobody's answer."""

    def answer(request: Request) -> list[bytes]:
        right = request.sequence
        other = b""
        for request.sequence in (0, right - 1, right + 1, 4711):
            other += request.reply(16, b"event") + request.refuse(EPERM)
        request.sequence = right
        return [other + request.acknowledge()]

    kernel(answer)

    assert Channel(channel.ROUTE).exchange([ASK])[0].payloads == []


def test_a_dump_is_all_that_comes_up_to_its_end(kernel: Install) -> None:
    """The pieces of a dump come in several datagrams, and end with NLMSG_DONE."""
    kernel(
        lambda request: [
            request.reply(16, b"one1", codec.NLM_F_MULTI),
            request.reply(16, b"two2", codec.NLM_F_MULTI)
            + request.reply(16, b"tri3", codec.NLM_F_MULTI),
            request.done(),
        ]
    )

    assert Channel(channel.ROUTE).dump(LIST) == [b"one1", b"two2", b"tri3"]


def test_a_disturbed_dump_is_asked_again(kernel: Install) -> None:
    """A dump whose pieces say NLM_F_DUMP_INTR may lack something: the next counts."""
    disturbed = codec.NLM_F_MULTI | codec.NLM_F_DUMP_INTR

    def answer(request: Request) -> list[bytes]:
        if len(fake.requests) < 3:
            return [request.reply(16, b"part", disturbed), request.done()]
        return [request.reply(16, b"all ", codec.NLM_F_MULTI), request.done()]

    fake = kernel(answer)

    assert Channel(channel.ROUTE).dump(LIST) == [b"all "]
    assert len(fake.requests) == 3


def test_a_dump_that_begins_with_eintr_is_asked_again(kernel: Install) -> None:
    """A dump that is refused with EINTR is asked again."""

    def answer(request: Request) -> list[bytes]:
        return [request.refuse(EINTR) if len(fake.requests) < 2 else request.done()]

    fake = kernel(answer)

    assert Channel(channel.ROUTE).dump(LIST) == []


@pytest.mark.parametrize("text", ["", "no memory for it"])
def test_a_dump_that_fails_half_way_is_an_error(kernel: Install, text: str) -> None:
    """The error that a dump ends with is raised, as what came is not all."""
    kernel(
        lambda request: [
            request.reply(16, b"part", codec.NLM_F_MULTI),
            request.done(EPERM, text),
        ]
    )

    with pytest.raises(NetlinkError) as caught:
        Channel(channel.ROUTE).dump(LIST)

    assert str(caught.value) == f"list links: {text or 'Operation not permitted'}"


def test_another_error_of_a_dump_is_raised(kernel: Install) -> None:
    """A dump that is refused for another reason is not asked again."""
    kernel(lambda request: [request.refuse(ENOENT)])

    with pytest.raises(NetlinkError, match="list links: No such file or directory"):
        Channel(channel.ROUTE).dump(LIST)


def _transact(messages: list[Message]) -> None:
    begin, end = nftables.batch_begin(), nftables.batch_end()
    Channel(channel.NETFILTER).transaction(begin, messages, end)


def test_a_batch_is_framed_and_done_when_each_message_is(kernel: Install) -> None:
    """A batch is one datagram: its frame asks for no answer, its messages do."""
    fake = kernel(
        lambda request: (
            [request.acknowledge()] if request.flags & codec.NLM_F_ACK else []
        )
    )

    _transact([nftables.new_table(1, "pycni"), nftables.delete_empty_table(1, "pycni")])

    assert [(request.kind, request.flags) for request in fake.requests] == [
        (0x10, 1),
        (0xA00, 0x405),
        (0xA02, 0x105),
        (0x11, 1),
    ]
    assert [request.sequence for request in fake.requests] == [1, 2, 3, 4]


def test_the_first_error_of_a_batch_is_raised(kernel: Install) -> None:
    """A batch that failed raises its first error, with the words of that message."""
    kernel(
        lambda request: (
            [request.refuse(ENOENT if request.kind == 0xA02 else EPERM)]
            if request.flags & codec.NLM_F_ACK
            else []
        )
    )

    with pytest.raises(NetlinkError) as caught:
        _transact([nftables.delete_empty_table(1, "a"), nftables.new_table(1, "b")])

    assert str(caught.value) == "delete nftables table a: No such file or directory"


@pytest.mark.parametrize(
    ("errno", "want"),
    [
        (EPERM, "change the nftables ruleset: Operation not permitted"),
        (0, "change the nftables ruleset: no answer"),
    ],
)
def test_a_batch_that_is_refused_as_a_whole_is_an_error(
    kernel: Install, errno: int, want: str
) -> None:
    """An answer to the frame itself means that no other will come."""
    kernel(lambda request: [request.refuse(errno)] if request.kind == 0x10 else [])

    with pytest.raises(NetlinkError) as caught:
        _transact([nftables.new_table(1, "pycni")])

    assert str(caught.value) == want


def test_an_answer_to_the_end_of_a_batch_is_left_out(kernel: Install) -> None:
    """Only the messages inside a batch are waited for."""

    def answer(request: Request) -> list[bytes]:
        if request.kind != 0xA00:
            return []
        done = request.acknowledge()
        request.sequence += 1
        return [request.refuse(EPERM) + done]

    kernel(answer)

    _transact([nftables.new_table(1, "pycni")])


def test_the_socket_asks_for_the_kernels_words(kernel: Install) -> None:
    """A channel asks for capped errors with text, for links also for strict checks."""
    fake = kernel(lambda request: [])

    Channel(channel.NETFILTER).close()
    assert (fake.options, fake.closed) == ([10, 11], 1)

    Channel(channel.ROUTE).close()
    assert (fake.options, fake.closed) == ([10, 11, 10, 11, 12], 2)


def test_a_message_that_is_not_there_any_more(kernel: Install) -> None:
    """A link that is asked for by its name is answered by one message and an end."""
    fake = kernel(
        lambda request: [request.reply(16, request.payload), request.acknowledge()]
    )

    answer = Channel(channel.ROUTE).execute([rtnetlink.link_by_name("eth0")])[0]

    assert answer.payloads == [fake.requests[0].payload]
