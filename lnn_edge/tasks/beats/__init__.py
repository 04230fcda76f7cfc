"""Heartbeats: N, S, V, F and Q after AAMI EC57."""
