"""The commands of `tidegate`, one module for each word: rows of `ops.cli.COMMANDS`."""
