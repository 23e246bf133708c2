"""intaglio: compile a trained network to integers, proved exact, packed into one blob.

import intaglio

net = intaglio.compile("net.onnx", data=samples, weight_bits=4)
net.run(x).real
net.save("net.intg")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Network, Output, compile, import_model, load, to_torch
    from .errors import IntaglioError
    from .exporting import export
    from .ir.graph import Graph
    from .passes.base import Training
    from .passes.glimpse import Glimpses, glimpse
    from .passes.pipeline import Pipeline

__version__ = "0.1.0"
__all__ = [
    "Glimpses",
    "Graph",
    "IntaglioError",
    "Network",
    "Output",
    "Pipeline",
    "Training",
    "compile",
    "export",
    "glimpse",
    "import_model",
    "load",
    "to_torch",
]

_HOME = {
    "Glimpses": "passes.glimpse",
    "Graph": "ir.graph",
    "IntaglioError": "errors",
    "Network": "api",
    "Output": "api",
    "Pipeline": "passes.pipeline",
    "Training": "passes.base",
    "compile": "api",
    "export": "exporting",
    "glimpse": "passes.glimpse",
    "import_model": "api",
    "load": "api",
    "to_torch": "api",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used, so that import stays light."""
    from importlib import import_module

    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'intaglio' has no attribute '{name}'")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
