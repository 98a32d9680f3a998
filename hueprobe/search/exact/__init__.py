"""Exact search: quantized products select candidates, exact distances rank them, a bound proves it."""
