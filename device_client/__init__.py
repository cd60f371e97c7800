"""What the charger does: ask, verify, install, trial, confirm or revert, report.

It carries no server library: the base distribution is enough to run it.
"""
