"""The plugin as functions: no root, no namespace, no kernel."""
