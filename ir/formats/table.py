"""Every storage format by the number that stands for it in a blob."""

from __future__ import annotations

from .base import Format
from .bitmap import Bitmap
from .block import Block
from .codebook import Codebook
from .csr import Csr
from .dense import Dense
from .entropy import Entropy
from .n_of_m import NOfM
from .relative import Relative
from .structured import Structured

FORMATS: dict[int, Format] = {
    each.id: each
    for each in (
        *(Dense(), Codebook(), Structured(), Block(), NOfM(), Bitmap(), Csr(), Relative()),
        Entropy(),
    )
}
