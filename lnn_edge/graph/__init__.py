"""The integer graph: its operators, its meaning, its file."""
