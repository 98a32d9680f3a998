"""Observations of memories: measured, judged, repeated under controls, reported."""
