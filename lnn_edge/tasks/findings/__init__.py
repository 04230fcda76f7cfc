"""Findings of 12-lead ECGs."""
