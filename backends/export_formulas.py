"""What each operator computes, in one line for people who build it."""

from __future__ import annotations

from collections.abc import Mapping

FORMULAS: Mapping[str, str] = {
    "conv": (
        "acc[o, i, j] = bias[o] + sum over c, k, l of weight[o, c, k, l] * x[o // (co / groups)"
        " * ci + c, i * strides[0] - pads[0] + k * dilations[0], j * strides[1] - pads[1] + l *"
        " dilations[1]]; pads are top, left, bottom, right, and outside of x stands pad_value. "
        "With an operand `border`, border[o, k, l] is added for each k, l whose place lies "
        "outside of x."
    ),
    "gather_conv": (
        "acc[o, i, j] = bias[o] + sum over m of weight[o, m] * x[columns[m] % c, i * strides[0]"
        " - pads[0] + k * dilations[0], j * strides[1] - pads[1] + l * dilations[1]] with k = "
        "columns[m] // c // kernel[1], l = columns[m] // c % kernel[1] and c channels of x; "
        "outside of x stands pad_value. With an operand `border`, border[o, k, l] is added for "
        "each k, l of the kernel whose place lies outside of x."
    ),
    "dense": "acc[..., o] = bias[o] + sum over k of weight[o, k] * x[..., k].",
    "add": "acc = multipliers[0] * x + multipliers[1] * y.",
    "multiply": (
        "acc = (x - zero_points[0]) * (y - zero_points[1]); an axis of y of size 1 is repeated."
    ),
    "matmul": (
        "acc = (x - zero_points[0]) times (y - zero_points[1]), matrices over the last two axes."
    ),
    "sum_pool": "acc = sum of each window; outside of x stands pad_value.",
    "max_pool": "the greatest of each window; places outside of x do not count.",
    "softmax": (
        "e = table[min(max(x) - x, entries - 1)] along the axis, the shares of the sum of e: "
        "division 0: (2^(bits + 1) * e + sum) // (2 * sum); divisions 1 to 4 are defined in "
        "docs/blob_format.md of intaglio."
    ),
    "layer_norm": (
        "of the n elements along the axis: d = n * x - sum, W = n * (sum of squares) - sum^2, r"
        " = max(1, floor(sqrt(4^bits * W + epsilon))), all in 64 bits; acc = ((d << (17 + "
        "bits)) + r) // (2 * r)."
    ),
    "crop": (
        "with q = codes of y, b bits each: s = least + (((most - least) * q[0] + 2^(b - 1)) >> b), "
        "or most without y; along a side of N pixels with m samples, q[2] for rows and q[1] for "
        "columns: step = s * (N - 1) // (m - 1), start = ((((N - 1) << 16) - step * (m - 1)) * q) "
        ">> b, or >> 1 without y and q. Sample i is at P = start + i * step, between pixel P >> 16 "
        "and the next, if there is one, of weights 256 - f and f = (P >> 8) & 255: the sum of the "
        "four products of a weight down, a weight across and a pixel, + 2^15, >> 16."
    ),
    "arg_max": (
        "the index of the first greatest element along the axis; of the last one if last is 1."
    ),
    "requantize": (
        "clip((acc * multiplier[c] + addend[c]) >> shift[c], lo, hi) in 64-bit two's "
        "complement; a parameter of one word holds for every channel c."
    ),
    "threshold": (
        "base + how many of thresholds[c] are <= acc; a single row holds for every channel c."
    ),
    "lookup": "table[x - base], or table[c, x - base] if there is a row for each channel c.",
    "reshape": "the same elements in row-major order of the *logical* shape.",
    "transpose": "axes of the result in terms of those of x; axis 0 counts the samples.",
    "slice": "per axis of a sample the elements start, start + step, ... < stop.",
    "take": "the listed channels, in that order.",
    "pad": "`value` around each axis of a sample.",
    "concat": "the operands one after the other along the axis; axis 0 counts the samples.",
}
"""In the order in which the page of an export explains them."""
