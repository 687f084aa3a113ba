"""Exact shared work between neighbouring windows, and between a window and its alternatives."""
