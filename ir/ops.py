"""Every op by its name. An op's meaning is in the ``ops_*`` file of its family."""

from __future__ import annotations

from .op import Op
from .ops_arg import ArgMax
from .ops_crop import Crop
from .ops_layout import Concat, Pad, Reshape, Slice, Take, Transpose
from .ops_linear import Conv, Dense, GatherConv
from .ops_norm import LayerNorm
from .ops_pointwise import Add, Affine, Clip, PRelu, Relu, ScaleGradient, Unary
from .ops_pool import AveragePool, MaxPool, SumPool
from .ops_product import MatMul, Multiply
from .ops_quant import Dequantize, Lookup, PairLookup, Quantize, Requantize, Threshold
from .ops_softmax import Softmax

ALL: tuple[type[Op], ...] = (
    Conv,
    GatherConv,
    Dense,
    Add,
    Multiply,
    MatMul,
    Softmax,
    LayerNorm,
    ArgMax,
    Crop,
    ScaleGradient,
    Affine,
    Relu,
    Clip,
    Unary,
    PRelu,
    MaxPool,
    AveragePool,
    SumPool,
    Reshape,
    Transpose,
    Slice,
    Take,
    Pad,
    Concat,
    Quantize,
    Dequantize,
    Requantize,
    Threshold,
    Lookup,
    PairLookup,
)
BY_NAME: dict[str, type[Op]] = {op.name: op for op in ALL}
