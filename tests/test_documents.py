"""What the documents say: recipes, options, tests and files that they name exist."""

import ast
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from intaglio.cli import app
from intaglio.cost_models.reading import keys_of
from intaglio.passes.pipeline import Pipeline
from intaglio.sweeping.space_file import SpaceFile, read_space

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "docs/training.md")
SWEEPS = ROOT / "docs" / "sweep.md"
GUIDE = ROOT / "docs" / "training.md"


def fenced(text, language):
    """The blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def blocks(language):
    """The blocks of a language in all documents."""
    for name in DOCUMENTS:
        for index, block in enumerate(fenced((ROOT / name).read_text(), language)):
            yield pytest.param(block, id=f"{name}:{index}")


@pytest.mark.parametrize("recipe", [*blocks("toml")])
def test_recipes_are_recipes(recipe):
    assert Pipeline.from_toml(recipe).passes


@pytest.mark.parametrize("program", [*blocks("python")])
def test_programs_are_python(program):
    assert ast.parse(program).body


@pytest.mark.parametrize("name", DOCUMENTS)
def test_options_of_compile_exist(name):
    command = get_command(app).commands["compile"]
    known = {option for each in command.params for option in each.opts}
    lines = re.findall(r"intaglio compile (?:.*\\\n)*.*", (ROOT / name).read_text())
    used = {option for line in lines for option in re.findall(r"--[a-z][a-z-]*", line)}
    assert used
    assert used <= known


def test_the_space_of_the_document_about_sweeps_is_one(tmp_path):
    (text,) = fenced(SWEEPS.read_text(), "toml")
    (tmp_path / "families.toml").write_text(text)
    space = read_space(tmp_path / "families.toml")
    assert (space.count, space.labels(7)) == (20, {"rate": "1.3", "bits": "4", "kind": "columns"})
    assert '"scheme": "column", "rate": 1.3' in space.planned(7).recipe


def test_what_the_document_about_sweeps_names_exists():
    text = SWEEPS.read_text()
    commands = get_command(app).commands
    known = {
        o for name in ("sweep", "compile") for each in commands[name].params for o in each.opts
    }
    assert set(re.findall(r"--[a-z][a-z-]*", text)) <= known
    assert {o for o in known if f"`{o}" in text} >= {"--trials", "--batch", "--jobs", "--cluster"}
    keys = re.search(r"^## Keys.*?^\| `objectives`", text, re.DOTALL | re.MULTILINE)
    assert all(key in keys[0] for key in keys_of(SpaceFile))
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (SWEEPS.parent / link).exists()


def test_options_that_the_guide_explains_exist():
    command = get_command(app).commands["compile"]
    known = {option for each in command.params for option in each.opts}
    used = set(re.findall(r"`(--[a-z-]+)", GUIDE.read_text()))
    assert used <= known


def test_tests_that_the_guide_names_exist():
    named = set(re.findall(r"`(test_\w+)`", GUIDE.read_text()))
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 10
    assert {name for name in named if f"def {name}(" not in sources} == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    path = ROOT / name
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text())
    assert {link for link in links if not (path.parent / link).exists()} == set()


@pytest.mark.slow
def test_the_programs_of_the_guide_run_on_a_few_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")
    recipe, *_ = fenced(GUIDE.read_text(), "toml")
    Path("prune.toml").write_text(re.sub(r"(epochs|retrain) = \d+", r"\1 = 1", recipe))
    names: dict[str, object] = {}
    for program in fenced(GUIDE.read_text(), "python"):
        exec(program, names)  # the guide's own code
        for path in tmp_path.glob("*.npz"):
            with np.load(path) as arrays:
                few = {name: array[:512] for name, array in arrays.items()}
            np.savez(path, **few)
    assert names["network"].inputs[0].name == "image"
    assert names["training"].test[0].shape == (512, 1, 28, 28)


def test_every_experiment_is_a_recipe():
    experiments = runpy.run_path(str(ROOT / "examples" / "recipes.py"))
    recipes = [*experiments["DENSE"].values(), *experiments["RECIPES"].values()]
    assert len(recipes) > 20
    for each in recipes:
        made = Pipeline.parse(each)
        assert Pipeline.parse(str(made)) == made
