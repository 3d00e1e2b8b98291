"""The benchmark behind `make bench`: pycni beside the reference plugins, same minute.

Never a timed test: it fails when a plugin does not work, not when one is slow.

Read in this order: `__main__` (arguments), `reference` (obtains the plugins to
compare with), `lab` (a network and a /run of our own, gone with the process), `side`
(one plugin on one node, its calls timed as whole processes), `rounds` (taking turns),
`leases` (a full store), `cases` (what is measured, a table), `report` (figures to text
and JSON).
"""
