"""Pages of `docs/generated/` that are drawn from the code itself, so that they cannot tell something else."""
