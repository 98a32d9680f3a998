"""The observations over memories: measured, judged, under controls, reported."""
