"""Rollout: what touches the world on behalf of the ports that `service` declares."""
