"""Boards, the ways to them, and one that is emulated."""
