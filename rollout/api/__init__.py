"""The HTTP doors of rollout: what chargers call, and what people call."""
