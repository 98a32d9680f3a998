"""Training losses compared over paired seeds."""
