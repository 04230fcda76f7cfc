"""From trained weights to an integer graph."""
