"""Alembic migrations of the rollout database."""
