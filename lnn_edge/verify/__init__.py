"""The board against the reference, bit for bit."""
