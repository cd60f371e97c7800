"""Repository: use cases; they hold the clock and the ports, load, decide and write once."""
