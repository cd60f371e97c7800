"""What runs in measured processes of its own; it imports nothing, so that only what is measured takes memory."""
