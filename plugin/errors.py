"""Errors that a caller can act on, and their codes.

Never formats output: `plugin.__main__` turns an error into the JSON of the
specification (section "Error"), in one place.
"""

from __future__ import annotations

# Codes of the CNI specification, section "Error".
INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
UNKNOWN_CONTAINER = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
DECODING_FAILURE = 6
INVALID_CONFIGURATION = 7
OWN_NAMESPACE = 8  # used by the Go library, not in the text of the specification
TRY_AGAIN_LATER = 11
NOT_AVAILABLE = 50
NOT_AVAILABLE_LIMITED = 51
# Codes of pycni: README, "Error codes".
KERNEL_REFUSED = 100
NO_FREE_ADDRESS = 101
NODE_STATE_MISSING = 102
ADDRESS_TAKEN = 103
BRIDGE_ADDRESS_DIFFERS = 104
ALREADY_ATTACHED = 106
CHECK_FAILED = 107
DELEGATE_FAILED = 109
INTERNAL = 999


class CNIError(Exception):
    """A failure that was foreseen: a code, a sentence, and the value at fault."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class NetlinkError(Exception):
    """The kernel refused `operation`: its errno and its extended-ack text, if any."""

    def __init__(self, operation: str, errno: int, reason: str, text: str = "") -> None:
        super().__init__(f"{operation}: {text or reason}")
        self.operation = operation
        self.errno = errno
        self.text = text
