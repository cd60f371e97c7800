"""What crosses a process border: frozen dataclasses, and nothing else."""
