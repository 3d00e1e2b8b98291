"""The agent's pure modules: no root, no cluster, no kernel."""
