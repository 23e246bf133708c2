"""A program as C99: integers only, a static arena, nothing from the heap."""
