"""Measurements: what the design costs, beside named alternatives in the same run. `make bench` runs them all."""
