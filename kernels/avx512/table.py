"""The routines of this tier by op."""

from __future__ import annotations

from collections.abc import Mapping

from ...ir.op import Op
from ...ir.ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from ...ir.ops_linear import Conv, Dense, GatherConv
from ...ir.ops_pointwise import Add
from ...ir.ops_pool import MaxPool, SumPool
from ..job import Bits, Maker
from . import addition, bits, copy, gathered, largest, linear, moving, windowed, zeros

MAKERS: Mapping[type[Op], tuple[Maker, ...]] = {
    Conv: (
        Maker(zeros.accepts, zeros.make, linear.borders),
        Maker(linear.accepts, linear.make, linear.borders),
        Maker(windowed.accepts_conv, windowed.make_conv, linear.borders),
    ),
    GatherConv: (Maker(gathered.accepts, gathered.make, gathered.borders),),
    Dense: (
        Maker(zeros.accepts, zeros.make, linear.borders),
        Maker(linear.accepts, linear.make, linear.borders),
    ),
    SumPool: (Maker(windowed.accepts_pool, windowed.make_pool, windowed.pool_borders),),
    MaxPool: (Maker(largest.accepts, largest.make, largest.borders),),
    Add: (Maker(addition.accepts, addition.make),),
    **dict.fromkeys(
        (Reshape, Transpose, Slice, Take, Pad, Concat),
        (Maker(moving.accepts, moving.make),),
    ),
}
"""For each op, who makes its routines: the first that accepts the job."""

BITS = Bits(bits.reads, bits.writes, bits.keeps, Maker(bits.reads, bits.make, bits.borders))
"""Of activations that lie as bits."""

COPY = Maker(lambda job: True, copy.make)
