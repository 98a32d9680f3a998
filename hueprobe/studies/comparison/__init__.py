"""Comparison of training losses over paired seeds."""
