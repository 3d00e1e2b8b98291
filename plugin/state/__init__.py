"""What lies on disk: leases and records that the plugin writes, node state it reads.

Never looks at the kernel's links; the agent imports this package as it is.
"""
