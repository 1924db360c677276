"""Cells of a study: how they are trained, measured and kept."""
