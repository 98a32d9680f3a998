"""Observations 1-5 as numbers: results in, results out, no files."""
