"""The options of TFLite's operators that the importer reads, with the defaults of schema.fbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Options:
    """A table of the schema and its fields; a tuple is a list of integers."""

    table: str
    defaults: Mapping[str, Any]


_WINDOW = {"padding": 0, "stride_h": 0, "stride_w": 0, "fused_activation_function": 0}
_DILATION = {"dilation_h_factor": 1, "dilation_w_factor": 1}
_SUM = {"fused_activation_function": 0, "pot_scale_int16": True}
_POOL = Options("Pool2DOptions", {**_WINDOW, "filter_height": 0, "filter_width": 0})

OPTIONS: Final[dict[str, Options]] = {
    "CONV_2D": Options("Conv2DOptions", {**_WINDOW, **_DILATION}),
    "DEPTHWISE_CONV_2D": Options(
        "DepthwiseConv2DOptions", {**_WINDOW, **_DILATION, "depth_multiplier": 0}
    ),
    "TRANSPOSE_CONV": Options("TransposeConvOptions", _WINDOW),
    "FULLY_CONNECTED": Options(
        "FullyConnectedOptions",
        {"fused_activation_function": 0, "weights_format": 0, "keep_num_dims": False},
    ),
    "ADD": Options("AddOptions", _SUM),
    "SUB": Options("SubOptions", _SUM),
    "MUL": Options("MulOptions", {"fused_activation_function": 0}),
    "MAX_POOL_2D": _POOL,
    "AVERAGE_POOL_2D": _POOL,
    "MEAN": Options("ReducerOptions", {"keep_dims": False}),
    "SQUEEZE": Options("SqueezeOptions", {"squeeze_dims": ()}),
    "SOFTMAX": Options("SoftmaxOptions", {"beta": 0.0}),
    "LEAKY_RELU": Options("LeakyReluOptions", {"alpha": 0.0}),
    "CONCATENATION": Options("ConcatenationOptions", {"axis": 0, "fused_activation_function": 0}),
    "RESIZE_NEAREST_NEIGHBOR": Options(
        "ResizeNearestNeighborOptions", {"align_corners": False, "half_pixel_centers": False}
    ),
    "RESIZE_BILINEAR": Options(
        "ResizeBilinearOptions", {"align_corners": False, "half_pixel_centers": False}
    ),
    "STRIDED_SLICE": Options(
        "StridedSliceOptions",
        {
            "begin_mask": 0,
            "end_mask": 0,
            "ellipsis_mask": 0,
            "new_axis_mask": 0,
            "shrink_axis_mask": 0,
        },
    ),
    "SPLIT": Options("SplitOptions", {"num_splits": 0}),
}
