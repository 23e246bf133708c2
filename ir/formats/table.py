"""Every storage format by the number that stands for it in a blob."""

from __future__ import annotations

from .base import Format
from .dense import Dense
from .entropy import Entropy

FORMATS: dict[int, Format] = {each.id: each for each in (Dense(), Entropy())}
