"""Nestrade beside what else makes a network small: the same work, row by row in turn."""
