"""Emitting operators into a graph under construction, for every importer."""
