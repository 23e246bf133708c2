"""Spaces as people write them: what they mean, and one clear error for whatever is wrong."""

import pytest

from intaglio.errors import UsageError
from intaglio.sweeping.space_file import read_space

PASSES = """
[[pass]]
name = "canonicalize"
[[pass]]
name = "quantize"
weight_bits = "$bits"
[[pass]]
name = "lower"
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """read(text): the space of a file space.toml."""
    monkeypatch.chdir(tmp_path)

    def read(text):
        (tmp_path / "space.toml").write_text(text)
        return read_space((tmp_path / "space.toml").relative_to(tmp_path))

    return read


def test_a_combination_is_a_recipe_a_storage_and_a_machine(read):
    space = read(
        'storage = ["smallest", "/conv*=$format"]\n'
        'hardware = { name = "mcu" }\nobjectives = ["time", "bytes"]\n'
        '[choices]\nbits = [8, 4]\nformat = ["dense", "csr"]\n'
        f"{PASSES}"
        '[[pass]]\nname = "dead_channels"\n'
    )
    assert (space.count, space.objectives) == (4, ("time", "bytes"))
    planned = space.planned(3)
    assert planned.recipe == 'canonicalize,quantize{"weight_bits": 4},lower,dead_channels'
    assert planned.storage == ("smallest", "/conv*=csr")
    assert planned.hardware.name == "mcu"


def test_values_may_have_names_and_use_other_choices(read):
    space = read(
        "[choices]\nrate = [2, 4]\n[choices.kind]\n"
        'single = { rate = "$rate", allocate = "lamp" }\n'
        'columns = { scheme = "column", rate = "$rate" }\n'
        '[[pass]]\nname = "magnitude"\ntarget = "$kind"\n'
    )
    assert [space.labels(n) for n in range(4)] == [
        {"rate": "2", "kind": "single"},
        {"rate": "2", "kind": "columns"},
        {"rate": "4", "kind": "single"},
        {"rate": "4", "kind": "columns"},
    ]
    assert [space.planned(n).recipe for n in (0, 1)] == [
        'magnitude{"target": {"rate": 2.0, "allocate": "lamp"}}',
        'magnitude{"target": {"scheme": "column", "rate": 2.0}}',
    ]


def test_hardware_by_name_has_other_memories(read):
    space = read(
        f'[choices]\nbits = [8]\nkib = [4096, 8192]\n[hardware]\nbytes = {{ SRAM = "$kib" }}\n{PASSES}'
    )
    machines = [space.planned(n).hardware for n in (0, 1)]
    assert [each.machine().memories[0].bits for each in machines] == [8 * 4096, 8 * 8192]
    assert [each.name for each in machines] == [
        "edge-npu, SRAM 4,096 bytes", "edge-npu, SRAM 8,192 bytes"
    ]  # fmt: skip


def test_a_value_that_fails_with_some_others_is_no_error(read):
    space = read(
        '[choices]\nscheme = ["filter", "non-structured"]\nallocate = ["lamp", "uniform"]\n'
        '[[pass]]\nname = "magnitude"\ntarget = { scheme = "$scheme", allocate = "$allocate" }\n'
    )
    with pytest.raises(UsageError, match="Allocation 'lamp' compares single weights"):
        space.planned(0)
    assert all(space.planned(n) for n in (1, 2, 3))


CHOICES = "[choices]\nbits = [8, 4]\n"
WRONG = {
    "no TOML": (
        "[choices",
        "'space.toml': It is no TOML: Expected ']' at the end of a table declaration (at end of "
        "document). docs/sweep.md has a whole file to begin with.",
    ),
    "no choices": (
        PASSES,
        "'space.toml', choices: It is missing. docs/sweep.md has a whole file to begin with.",
    ),
    "unknown key": (
        f"objective = []\n{CHOICES}{PASSES}",
        "'space.toml', objective: There is no such key. Did you mean 'objectives'?",
    ),
    "unknown key of hardware": (
        f"{CHOICES}[hardware]\nsize = 3\n{PASSES}",
        "'space.toml', hardware.size: There is no such key. The keys here are name, bytes.",
    ),
    "unknown objective": (
        f'objectives = ["joy"]\n{CHOICES}{PASSES}',
        "'space.toml', objectives[0]: Input should be 'accuracy', 'energy', 'time' or 'bytes', not "
        "'joy'. docs/sweep.md has a whole file to begin with.",
    ),
    "objective twice": (
        f'objectives = ["time", "time"]\n{CHOICES}{PASSES}',
        "'space.toml', objectives: 'time' is there twice. Write each once.",
    ),
    "no recipe": (
        CHOICES,
        "'space.toml': There is no recipe. Write [[pass]] tables, or recipe = \"recipe.toml\".",
    ),
    "two recipes": (
        f'recipe = "r.toml"\n{CHOICES}{PASSES}',
        "'space.toml': There are [[pass]] tables and a recipe. Write [[pass]] tables, or recipe = "
        '"recipe.toml".',
    ),
    "no recipe file": (
        f'recipe = "r.toml"\n{CHOICES}',
        "'r.toml': It cannot be read: No such file or directory.",
    ),
    "undefined name": (
        f'storage = "$format"\n{CHOICES}{PASSES}',
        "'space.toml': '$format' is used, but there is no such choice. Add format = [...] to "
        "[choices], or write $$ for a dollar sign.",
    ),
    "unused name": (
        f"{CHOICES}rate = [2]\n{PASSES}",
        "'space.toml', choices.rate: Nothing uses '$rate'. Write \"$rate\" in place of a value of "
        "the recipe, storage or hardware, or leave the choice out.",
    ),
    "no values": (
        f"[choices]\nbits = []\n{PASSES}",
        "'space.toml', choices.bits: It has no values. Write bits = [8, 4].",
    ),
    "no list": (
        f"[choices]\nbits = 8\n{PASSES}",
        "'space.toml', choices.bits: Input should be a valid list, not 8. docs/sweep.md has a whole "
        "file to begin with.",
    ),
    "value twice": (
        f"[choices]\nbits = [8, 4, 8]\n{PASSES}",
        "'space.toml', choices.bits: '8' is there twice. Write each value once.",
    ),
    "nameless tables": (
        f"[choices]\nbits = [{{ a = 1 }}]\n{PASSES}",
        "'space.toml', choices.bits: Tables in a list have no names to show. Name each of them: "
        "[choices.bits] and first = { ... } below it.",
    ),
    "bad name": (
        f"[choices]\nBits = [8]\n{PASSES}",
        "'space.toml': 'Bits' is no name of a choice. Use small letters, digits and underscores.",
    ),
    "value that no recipe takes": (
        f"[choices]\nbits = [8, 9]\n{PASSES}",
        "'space.toml', choices.bits, '9': weight_bits is 9. Choose 1 to 8. No combination with it "
        "works.",
    ),
    "unknown hardware": (
        f'hardware = "toaster"\n{CHOICES}{PASSES}',
        "'space.toml': 'toaster': There is no hardware of that name and no such file. Name "
        "edge-npu, edge-npu-gate, edge-npu-skip, eyeriss-like, fpga, mcu, tpu-like, or a TOML file. "
        "No combination works.",
    ),
    "unknown memory": (
        f"{CHOICES}[hardware]\nbytes = {{ cache = 5 }}\n{PASSES}",
        "'space.toml': Hardware 'edge-npu' has no memory 'cache'. Its memories "
        "are SRAM. No combination works.",
    ),
    "bytes that are none": (
        f'{CHOICES}size = ["big"]\n[hardware]\nbytes = {{ SRAM = "$size" }}\n{PASSES}',
        "'space.toml': Memory 'SRAM' has \"big\" bytes. Write a whole number "
        "above 0. No combination works.",
    ),
    "energy that is not modelled": (
        f'hardware = "fpga"\n{CHOICES}{PASSES}',
        "'space.toml': The energy of hardware 'fpga' is not modelled. Leave "
        "energy out of the objectives, or name other hardware. No combination works.",
    ),
    "unknown storage": (
        f'storage = "zip"\n{CHOICES}{PASSES}',
        "'space.toml': There is no storage 'zip'. Choose smallest, energy, dense, codebook, "
        "structured, block, n:m, bitmap, csr, relative, entropy. No combination works.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_once(read, name):
    text, message = WRONG[name]
    with pytest.raises(UsageError) as error:
        read(text)
    assert str(error.value) == message


def test_a_name_of_a_column_is_taken(read):
    with pytest.raises(UsageError) as error:
        read("[choices]\nfront = [8]\n" + PASSES.replace("$bits", "$front"))
    assert str(error.value).startswith(
        "'space.toml', choices.front: 'front' is a column of the results already. Choose another "
        "name than trial, front, accuracy, "
    )


def test_a_recipe_file_has_passes_only(read, tmp_path):
    (tmp_path / "r.toml").write_text('pass = 3\nname = "x"\n')
    with pytest.raises(UsageError) as error:
        read(f'recipe = "r.toml"\n{CHOICES}')
    assert str(error.value) == (
        "'r.toml': A recipe holds only [[pass]] tables; this one has ['name', 'pass']. Write "
        '[[pass]] and name = "quantize" below it.'
    )
