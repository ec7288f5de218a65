"""Faults, tried on purpose: what survives them."""
