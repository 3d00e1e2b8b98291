"""What is in the kernel: bridge, ruleset, attachments.

One implementation for the plugin and the agent, so that what the agent repairs is what
ADD makes. Never reads a configuration from disk.
"""
