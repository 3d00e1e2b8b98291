"""What the file does when it is called `portmap` or `bandwidth`.

A call without anything to map or to shape passes the prevResult on; one with is refused
with code 2, since this version does not shape or map.
"""

from __future__ import annotations

from plugin import errors
from plugin.errors import CNIError
from plugin.fields import member
from plugin.result import Result, parse_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin.call import Call

_RATES = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")


def add(call: Call) -> Result:
    """Pass the prevResult on."""
    _refuse_work(call)
    previous = member(call.document, "prevResult")
    if not previous:
        raise CNIError(errors.INVALID_CONFIGURATION, "must be called as chained plugin")
    return parse_result(previous, call.version)


def nothing(call: Call) -> None:
    """Nothing was made: nothing to take back, to check, or to collect."""


delete = check = collect_garbage = status = nothing


def _refuse_work(call: Call) -> None:
    runtime = member(call.document, "runtimeConfig")
    if call.personality == "portmap" and member(runtime, "portMappings"):
        raise CNIError(
            errors.UNSUPPORTED_FIELD,
            f"runtimeConfig.portMappings: {member(runtime, 'portMappings')!r} is not "
            "supported by this version",
        )
    for source in (call.document, member(runtime, "bandwidth")):
        for key in _RATES if call.personality == "bandwidth" else ():
            if member(source, key):
                raise CNIError(
                    errors.UNSUPPORTED_FIELD,
                    f"{key}: {member(source, key)!r} is not supported by this version",
                )
