"""The node agent of pycni: keeps one node as its CNINetwork objects say.

So far its planning, which is pure: `crd` turns CNINetwork manifests into the values of
`model`, `desired` works out what the node should have, and `plan` says the steps from
what it has to that. What reads the node and does the steps is to come.
"""
