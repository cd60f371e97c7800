"""The queries of the store in memory, over rows, indexes and counters of one transaction's view (`memory.py`)."""
