"""The page of a comparison: its numbers, its figures, and that it needs nothing but itself."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import combinations

import numpy as np
import plotly.graph_objects
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

from intaglio.backends import cost_axes, cost_rows
from intaglio.backends.break_even_rows import even_tables
from intaglio.backends.cost_page import cards, inlined, render
from intaglio.backends.cost_plots import SYMBOLS, figures, intensity, roof
from intaglio.cost_models.comparison import Compared
from intaglio.cost_models.turning import UNKNOWN_EVEN, Even, Needed
from intaglio.errors import UsageError

SIGNS = len(SYMBOLS)
RATES = ((1, 40.0, 55.0), (2, 30.0, math.inf), (4, 24.5, 50.0), (8, math.inf, math.inf))
EVEN = Even("dense", 4096, tuple(Needed("structured 16x", b, s, e, math.inf) for b, s, e in RATES))
STYLE = files("intaglio.backends").joinpath("templates", "cost.css").read_text("utf-8")


class Reader(HTMLParser):
    """Every start tag with its attributes, every table as rows of cells, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in {"td", "th"}:
            self.tables[-1][-1][-1] += data
        elif self.inside == "script":
            self.scripts[-1] += data
        if self.inside not in {"script", "style"}:
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def specs(self) -> dict[str, dict]:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def page(four: list[Compared]) -> str:
    return render(four, even=EVEN)


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


def spec(compared: list[Compared], key: str, even: Even = UNKNOWN_EVEN) -> dict:
    return next(each.spec for each in figures(compared, even) if each.key == key)


def test_the_page_refers_to_nothing_outside_itself(page: str, read: Reader) -> None:
    own = page.replace(get_plotlyjs(), "")
    assert len(own) < len(page) - 1_000_000
    assert not re.search(r"https?:|@import|url\(", own)
    assert {tag for tag, _ in read.tags}.isdisjoint({"link", "iframe", "img", "object", "embed"})
    assert not [at for _, at in read.tags if {"src", "href", "srcset"} & at.keys()]
    policy = next(a["content"] for t, a in read.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy


def test_the_same_comparison_makes_the_same_page(four: list[Compared], page: str) -> None:
    assert render(four, even=EVEN) == page


def test_the_page_has_every_table(four: list[Compared], read: Reader) -> None:
    layers = (cost_rows.layer_table(each, "µJ") for each in four)
    wanted = [*cost_rows.tables(four), *even_tables(EVEN), *layers]
    cells = [[list(each.columns), *map(list, each.rows)] for each in wanted]
    assert sorted(read.tables) == sorted(cells)


def test_the_verdict_comes_first(read: Reader) -> None:
    start = "What networks cost intaglio What networks cost At 4 bits, structured 16x against "
    assert read.text.startswith(start)
    assert "Low is never compared with high." in read.text
    assert "(measured on this machine)" in read.text


def test_cards_name_who_needs_the_least(four: list[Compared]) -> None:
    assert [(x.name, x.value, x.remark) for x in cards(four)] == [
        ("Smallest file", "1,714 bytes", "single 20x"),
        ("Least energy", "0.1087 µJ", "single 20x; 0.05436 to 0.2735 µJ"),
        ("Least time", "507 cycles", "structured 16x; 0.002535 ms"),
        ("Best accuracy", "92.50 %", "dense"),
        ("Energy verdict", "holds", "with all constants low, nominal and high"),
    ]


def test_cards_leave_out_what_is_not_known(four: list[Compared]) -> None:
    assert [x.name for x in cards(four[2:3])] == ["Smallest file", "Least energy", "Least time"]


def test_names_are_no_markup(hostile: list[Compared]) -> None:
    read = Reader(
        render(
            hostile,
            hostile[0].name,
            Even(hostile[0].name, 9, (Needed(hostile[0].name, 4, 2.0, 3.0, 4.0),)),
        )
    )
    assert sum(tag == "script" for tag, _ in read.tags) == 3
    assert hostile[0].name in read.text
    # plotly.js reads text as HTML: there the name is escaped once more.
    for figure in read.specs.values():
        shown = [figure["layout"]["yaxis"].get("ticktext", [])]
        shown += [[each.get("hovertemplate", ""), *each.get("text", [])] for each in figure["data"]]
        assert not [text for texts in shown for text in texts if "<script" in text]


@given(
    st.recursive(
        st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4
    )
)
def test_inlined_data_is_the_data_and_ends_no_script(value: object) -> None:
    text = inlined(value)
    assert json.loads(text) == value
    assert not re.search("[<>&]", text)


@pytest.mark.parametrize("key", ["energy-by-memory", "energy-by-operand"])
def test_bars_of_energy_add_up_and_carry_their_range(read: Reader, four, key: str) -> None:
    *bars, whiskers = read.specs[key]["data"]
    for at, network in enumerate(four):
        energy = network.cost.energy
        place = bars[0]["y"].index(at)
        whole = sum(bar["x"][place] for bar in bars)
        assert whole == pytest.approx(energy.nominal / 1e6)
        assert whiskers["x"][place] == pytest.approx(energy.nominal / 1e6)
        error = whiskers["error_x"]
        assert whole + error["array"][place] == pytest.approx(energy.high / 1e6)
        assert whole - error["arrayminus"][place] == pytest.approx(energy.low / 1e6)


def test_bars_are_of_memories_and_of_operands(read: Reader) -> None:
    names = {
        key: [each["name"] for each in read.specs[key]["data"]]
        for key in ("energy-by-memory", "energy-by-operand", "bytes")
    }
    assert names == {
        "energy-by-memory": ["DRAM", "SRAM", "arithmetic", "decode", "low to high"],
        "energy-by-operand": [
            "weights",
            "indices",
            "outputs",
            "arithmetic",
            "decode",
            "low to high",
        ],
        "bytes": ["values", "indices", "headers", "other"],
    }


def test_bars_of_bytes_add_up_to_the_file(read: Reader, four: list[Compared]) -> None:
    bars = read.specs["bytes"]["data"]
    whole = [sum(parts) for parts in zip(*(bar["x"] for bar in bars), strict=True)]
    assert whole == pytest.approx([each.cost.file_bytes / 1000 for each in four])
    assert read.specs["bytes"]["layout"]["xaxis"]["title"]["text"] == "file [kB]"


def test_the_roofline_has_a_point_a_layer_that_computes(four: list[Compared]) -> None:
    *networks, limit = spec(four, "roofline")["data"]
    # Structured 16x, fc: 4,000 products of 16,000 bits in 500 cycles; conv1: 400, 50 bits, 7.
    assert networks[1]["text"] == ["conv1", "fc"]
    assert networks[1]["x"] == [64.0, 2.0]
    assert networks[1]["y"] == [400 / 7, 8.0]
    assert limit["name"] == "roof: 4 bytes and 64 operations per cycle"


def test_no_layer_is_above_the_roof(four: list[Compared]) -> None:
    slope, peak = roof(four)
    points = [point for x in four for y in x.cost.layers if (point := intensity(y))]
    assert len(points) == 8
    assert all(y <= min(peak, slope * x) * (1 + 1e-12) for x, y in points)
    xs, ys = (spec(four, "roofline")["data"][-1][axis] for axis in "xy")
    assert ys == [min(peak, slope * x) for x in xs]
    assert xs[1] == peak / slope


def test_the_front_has_networks_of_known_accuracy(four: list[Compared]) -> None:
    worse = replace(four[0], name="worse", accuracy=0.5)
    for key, amounts in (
        ("front-energy", [x.cost.energy.nominal / 1e6 for x in four]),
        ("front-bytes", [x.cost.file_bytes / 1000 for x in four]),
    ):
        data = spec([*four, worse], key)["data"]
        assert [each["name"] for each in data] == ["dense", "structured 16x", "single 20x", "worse"]
        assert [each["x"] for each in data[:3]] == [[amounts[0]], [amounts[1]], [amounts[3]]]
        assert [each["y"] for each in data] == [[92.5], [90.0], [91.0], [50.0]]
        symbols = [each["marker"]["symbol"] for each in data]
        # The single one is better than the structured in all three.
        assert [name.endswith("-open") for name in symbols] == [False, True, False, True]


def test_curves_of_break_even_leave_out_what_is_infinite(four: list[Compared]) -> None:
    curve, dashed, marks = spec(four, "break-even", EVEN)["data"]
    assert (curve["x"], curve["y"]) == ([1, 2, 4], [40.0, 30.0, 24.5])
    assert (dashed["x"], dashed["y"], dashed["line"]["dash"]) == ([1, 4], [55.0, 50.0], "dash")
    assert [each["name"] for each in (curve, dashed)] == [
        "structured 16x, storage", "structured 16x, energy"
    ]  # fmt: skip
    assert (marks["x"], marks["y"]) == ([4], [20.0])


def test_figures_without_data_are_left_out(four: list[Compared]) -> None:
    kept = ["energy-by-memory", "energy-by-operand", "bytes"]
    bare = replace(four[2], cost=replace(four[2].cost, layers=four[2].cost.layers[1:2]))
    assert [
        each.key for each in figures([bare], Even("d", 9, (Needed("never", 4, *[math.inf] * 3),)))
    ] == kept
    assert "Break-even" not in Reader(render(four)).text


def test_plotly_knows_every_field_of_the_figures(four: list[Compared]) -> None:
    for figure in figures(four, EVEN):
        plotly.graph_objects.Figure(figure.spec)


def test_every_axis_has_a_title_with_its_unit(four: list[Compared]) -> None:
    titles = {
        each.key: [
            each.spec["layout"][axis].get("title", {}).get("text") for axis in ("xaxis", "yaxis")
        ]
        for each in figures(four, EVEN)
    }
    assert titles == {
        "energy-by-memory": ["energy of one sample [µJ]", None],
        "energy-by-operand": ["energy of one sample [µJ]", None],
        "bytes": ["file [kB]", None],
        "roofline": ["operations per DRAM byte (log)", "operations per cycle (log)"],
        "front-energy": ["energy of one sample [µJ] (log)", "accuracy [%]"],
        "front-bytes": ["file [kB] (log)", "accuracy [%]"],
        "break-even": ["bits of a weight", "non-structured rate (log)"],
    }


def test_legends_stand_outside_the_plots(four: list[Compared]) -> None:
    for figure in figures(four, EVEN):
        assert figure.spec["layout"]["showlegend"] is False
        assert [x.name for x in figure.legend] == [x["name"] for x in figure.spec["data"]]


def test_networks_differ_in_sign_where_colours_repeat(four: list[Compared]) -> None:
    many = [replace(four[0], name=str(at)) for at in range(SIGNS)]
    html = render(many)
    legend = html[html.index("<h2>Roofline</h2>") : html.index('id="roofline"')]
    signs = [at["d"] for tag, at in Reader(legend).tags if tag == "path"]
    assert len(set(signs[:SIGNS])) == SIGNS
    data = spec([replace(four[0], name=str(at)) for at in range(50)], "roofline")["data"][:-1]
    markers = [(each["marker"]["color"], each["marker"]["symbol"]) for each in data]
    assert len(set(markers)) == 50


@given(st.floats(1e-6, 1e9), st.floats(1.5, 1e8))
def test_ticks_of_a_logarithmic_axis_are_few_round_numbers(low: float, times: float) -> None:
    found = cost_axes.ticks(low, low * times)
    assert len(found) <= 9
    assert found == sorted(found)
    assert all(low <= each <= low * times for each in found)
    assert all(re.fullmatch(r"[125]?[0,.]*[125]?0*", cost_axes.plain(each)) for each in found)
    if times >= 10:
        assert len(found) >= 1


def test_a_long_name_takes_three_lines_of_an_axis() -> None:
    name = "a structured network of which 1 in 77 weights is left, filters and columns"
    assert cost_axes.wrapped(name) == "a structured<br>network of which<br>1 in 77 …"
    assert cost_axes.wrapped("a<b> & c") == "a&lt;b&gt; &amp; c"


def test_two_networks_of_one_name_are_refused(four: list[Compared]) -> None:
    text = "Two networks are called 'dense'. Give each network a name of its own."
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        render([four[0], four[0]])


# What protanopes, deuteranopes and tritanopes see of linear RGB: Machado, Oliveira and Fernandes,
# "A physiologically-based model for simulation of color vision deficiency", 2009, severity 1.
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
# Oklab: Ottosson, "A perceptual color space for image processing", 2020.
CONES = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
OKLAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip
COLOURS = ("weights", "indices", "inputs", "outputs", "sums", "rest", "decode")


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def palettes() -> list[dict[str, str]]:
    return [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    ]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_everyone(palette: dict[str, str], sight: str) -> None:
    def seen(name: str) -> np.ndarray:
        cones = np.array(CONES) @ np.clip(SIGHT[sight] @ linear(palette[name]), 0, 1)
        return np.array(OKLAB) @ np.cbrt(cones)

    nearest = min(np.linalg.norm(seen(a) - seen(b)) for a, b in combinations(COLOURS, 2))
    assert nearest > 0.1  # five times what is just seen, 0.02


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_colours_stand_out_from_the_paper(palette: dict[str, str]) -> None:
    def contrast(a: str, b: str) -> float:
        light = sorted(float(linear(palette[x]) @ [0.2126, 0.7152, 0.0722]) for x in (a, b))
        return (light[1] + 0.05) / (light[0] + 0.05)

    assert min(contrast(name, "panel") for name in COLOURS) > 2
    assert min(contrast(name, "panel") for name in ("ink", "soft")) > 4.5
