"""A result in, an Axes in, an Axes out."""
