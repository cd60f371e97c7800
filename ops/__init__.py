"""Everything together: the one-machine stack, the virtual fleet, the command line, the demo and the drills."""
