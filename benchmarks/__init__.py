"""Measurements on real images, and the networks they bring."""
