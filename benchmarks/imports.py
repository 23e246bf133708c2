"""The figures that imports promise, measured anew.

    python benchmarks/imports.py [--json] [--line N]

Line 6 draws 2,000 networks, which takes long; every other line takes minutes.
"""

from __future__ import annotations

from report import main

LINES = {}

if __name__ == "__main__":
    main("Imports", LINES)
