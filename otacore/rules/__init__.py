"""What two sides must decide alike: one pure function each, called by both, never written twice."""
