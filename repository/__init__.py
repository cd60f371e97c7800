"""What exists: releases, signed metadata and the stores that hold them. It holds the online keys and publishes."""
