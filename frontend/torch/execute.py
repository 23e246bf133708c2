"""Running torch modules on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.numeric import Array
from .export import import_module
from .tensors import as_array


def execute(module: Any, inputs: Sequence[Array]) -> tuple[str, list[Array]]:
    """The executor's name and the outputs of ``module``, flattened, both in their order.

    A module that cannot take several samples at once is run sample by sample.
    """
    torch = import_module()
    count = len(inputs[0])
    try:
        results = _run(torch, module, inputs)
    except (RuntimeError, ValueError, IndexError, TypeError):
        results = []
    if not results or any(result.shape[:1] != (count,) for result in results):
        singles = [
            _run(torch, module, [array[i : i + 1] for array in inputs]) for i in range(count)
        ]
        results = [np.concatenate(each) for each in zip(*singles, strict=True)]
    return f"torch {torch.__version__}", results


def _is_quantized(result: Any) -> bool:
    """Whether a result is a QuantTensor of Brevitas: a tuple of a value and what its codes mean."""
    return hasattr(result, "value") and hasattr(result, "scale")


def _run(torch: Any, module: Any, inputs: Sequence[Array]) -> list[Array]:
    from torch.utils._pytree import tree_leaves

    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(dtype) for array in inputs]
    with torch.no_grad():
        results = tree_leaves(module(*tensors), is_leaf=_is_quantized)
    values = [result.value if _is_quantized(result) else result for result in results]
    return [as_array(value).astype(np.float32) for value in values]
