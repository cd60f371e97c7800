"""The repository's doors."""
