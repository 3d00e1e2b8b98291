"""The static file in network namespaces of its own, against the real kernel; root."""
