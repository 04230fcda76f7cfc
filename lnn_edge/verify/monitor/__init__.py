"""Plays a signal through a board and tells what happens, as one stream of events."""
