"""Plots of a report, as SVG that needs nothing else."""
