"""The CNI plugin of pycni: one run from start to exit, in reading order.

`__main__` reads environment and stdin and picks the command by the name that the file
was called by; `protocol` and `config` check what came in; `call` finds the network;
`commands` has a page for each command, whose work is in `setup` (ADD), `reclaim` (DEL,
GC) and `inspection` (CHECK, STATUS); those claim addresses by `ipam` from
`state.leases` and change the kernel by `dataplane` over `netlink`; `result` is printed
by `__main__`, and `logfile` writes one line about it all.

Imports are the run time: this package uses itself and the few modules named in
freeze/stdlib.txt, nothing else.
"""
