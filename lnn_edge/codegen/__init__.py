"""From a graph to C and a firmware project."""
