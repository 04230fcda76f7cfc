"""Rewrites of a graph that change no bit of what it computes, one a file."""
