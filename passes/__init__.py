"""Passes: Graph -> Graph, and at the end Graph -> Program."""
