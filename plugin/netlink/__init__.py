"""Netlink: codecs without a socket, and the one channel that has it."""
