"""Which instructions kernels may use: detected before anything is compiled for them.

An instruction that the compiler does not have aborts the process, it raises nothing. So the tier is
chosen here, from the features that the compiler was told of, and never tried out.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Literal, get_args

from ..errors import UsageError

Isa = Literal["portable", "avx512"]
ENVIRONMENT = "INTAGLIO_ISA"
NEEDED: dict[Isa, tuple[str, ...]] = {
    "portable": (),
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"),
}
"""Features, as LLVM names them, without which a tier cannot be compiled."""


@cache
def features() -> frozenset[str]:
    """What numba compiles for: the machine's features, less those that its settings take away."""
    from numba.core.registry import cpu_target

    _, _, text = cpu_target.target_context.codegen().magic_tuple()
    return frozenset(name[1:] for name in text.split(",") if name.startswith("+"))


def available(isa: Isa) -> bool:
    """Whether this machine can run the tier."""
    return features() >= set(NEEDED[isa])


def chosen() -> Isa:
    """The tier of this process: the fastest one available, or what INTAGLIO_ISA says.

    Raises UsageError for a name that is no tier, and for a tier that this machine cannot run.
    """
    wanted = os.environ.get(ENVIRONMENT, "")
    if not wanted:
        return "avx512" if available("avx512") else "portable"
    for isa in get_args(Isa):
        if wanted == isa:
            return _runnable(isa)
    raise UsageError(
        f"'{wanted}' is no tier of kernels: there are {', '.join(get_args(Isa))}.",
        where=f"Environment variable {ENVIRONMENT}",
        fix="Set one of these, or unset it for the fastest one that this machine runs.",
    )


def _runnable(isa: Isa) -> Isa:
    missing = sorted(set(NEEDED[isa]) - features())
    if not missing:
        return isa
    raise UsageError(
        f"The tier '{isa}' needs {', '.join(missing)}, which this machine does not have.",
        where=f"Environment variable {ENVIRONMENT}",
        fix="Unset it for the fastest tier that this machine runs.",
    )
