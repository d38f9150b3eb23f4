"""Measure mlxd as ratios between things that run side by side."""
