"""Long runs of the static file: a kill at every step, rounds, many leases; root."""
