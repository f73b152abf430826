"""Faults that are planted, one at a time, and what notices them."""
