"""Compiled loops, arrays in, arrays out: equal to each op's reference bit for bit."""
