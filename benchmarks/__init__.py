"""Measurements on real pictures, and the networks they bring."""
