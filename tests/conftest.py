"""What holds for every test: one thread each, since the workers share the cores."""

from __future__ import annotations

import os

# Before anything imports numpy or torch, and for every program that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
