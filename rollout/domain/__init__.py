"""Rollout: pure rules, values in and values out; no I/O, clock, randomness or logging."""
