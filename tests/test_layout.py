"""The shape of the repository: what is a package, and what importing it loads."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {"tests", "examples", "docs", "benchmarks", "build", "dist"}


def folders_with_an_init():
    found = {"intaglio"}
    for init in ROOT.rglob("__init__.py"):
        parts = init.parent.relative_to(ROOT).parts
        if parts and parts[0] not in OUTSIDE and not parts[0].startswith("."):
            found.add(".".join(("intaglio", *parts)))
    return found


def test_package_list_names_every_folder_with_an_init():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(config["tool"]["setuptools"]["packages"]) == folders_with_an_init()


def test_the_type_checker_is_given_every_module():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    files = set(config["tool"]["mypy"]["files"])
    modules = {path.name for path in ROOT.glob("[a-z]*.py")}
    folders = {name.split(".")[1] for name in folders_with_an_init() if name != "intaglio"}
    assert files >= modules | folders


IR = [f"intaglio.ir.{path.stem}" for path in sorted((ROOT / "ir").glob("[a-z]*.py"))]
PASSES = [f"intaglio.passes.{path.stem}" for path in sorted((ROOT / "passes").glob("[a-z]*.py"))]


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (["intaglio"], {"torch", "onnx", "numba", "numpy", "networkx", "pydantic"}),
        (["intaglio.api"], {"torch", "onnx", "numba"}),
        (IR, {"torch", "onnx", "numba", "pydantic"}),
        (PASSES, {"torch", "onnx", "numba"}),
    ],
    ids=["package", "api", "ir", "passes"],
)
def test_importing_loads_no_heavy_library(modules, absent):
    code = f"import sys, {', '.join(modules)}; print(*sys.modules, sep=' ')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert absent.isdisjoint(run.stdout.split())


def test_every_public_name_can_be_had_from_the_package():
    import intaglio

    assert all(getattr(intaglio, name) is not None for name in intaglio.__all__)
    assert set(intaglio.__all__) <= set(dir(intaglio))
    with pytest.raises(AttributeError, match=r"^module 'intaglio' has no attribute 'nothing'$"):
        _ = intaglio.nothing
