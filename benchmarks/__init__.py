"""The book's measurements: one command each, one result each in ``results/``."""
