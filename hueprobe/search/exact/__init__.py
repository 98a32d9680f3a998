"""Exact search: quantized products pick candidates, exact distances rank them, a bound proves it."""
