"""Interventions on a memory: its images flipped and moved, extracted again, and searched."""
