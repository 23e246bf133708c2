"""``intaglio inspect --storage``: the table of constants and what they could take at least."""

from __future__ import annotations

from collections.abc import Iterable

from ..backends.storage import Report, Stored
from .terminal import Column, elided, facts, table

COLUMNS: tuple[Column, ...] = (
    ("tensor", "text"),
    ("type", "left"),
    ("format", "left"),
    ("values", "right"),
    ("indices", "right"),
    ("headers", "right"),
    ("bytes", "right"),
    ("dense", "right"),
    ("entropy", "right"),
    ("ratio", "right"),
)
SMALL = 64
"""Bytes below which parameters share a line."""


def show_storage(report: Report) -> None:
    """Print bits of values, indices and headers, bytes, and bytes of entropy with its model."""
    shown = [each for each in report.constants if each.kind == "weight" or each.bytes >= SMALL]
    shown.sort(key=lambda each: (each.kind != "weight",))
    rest = [each for each in report.constants if each not in shown]
    rows = [_row(each) for each in shown]
    table(COLUMNS, rows + ([_sum(rest)] if rest else []))
    weights = [each for each in report.constants if each.kind == "weight"]
    tiles = sum(each.tile_bytes for each in report.constants)
    facts(
        [
            *((name, f"{count:,} bytes") for name, count in report.totals.items()),
            ("file", f"{report.file_bytes:,} bytes"),
            ("without tiles", f"{report.file_bytes - tiles:,} bytes, if all were one tile each"),
            ("weights dense", f"{sum(each.dense_bytes for each in weights):,} bytes"),
            ("their entropy", _entropy(weights)),
            ("zeros' places", f"{sum(each.mask_bytes for each in weights):,.0f} bytes at least"),
        ]
    )


def _entropy(constants: Iterable[Stored]) -> str:
    listed = list(constants)
    entropy = sum(each.entropy_bytes for each in listed)
    model = sum(each.model_bytes for each in listed)
    return f"{entropy:,.0f} bytes (zero order), {model:,.0f} more to say how often each value is"


def _row(stored: Stored) -> tuple[str, ...]:
    ratio = f"{stored.ratio:.3f}" if stored.ratio else ""
    return (
        elided(stored.origin or stored.name),
        stored.type,
        stored.format,
        f"{stored.value_bits:,}",
        f"{stored.index_bits:,}",
        f"{stored.header_bits:,}",
        f"{stored.bytes:,}",
        f"{stored.dense_bytes:,}",
        f"{stored.entropy_bytes:,.0f}",
        ratio,
    )


def _sum(rest: list[Stored]) -> tuple[str, ...]:
    counts = (
        sum(getattr(each, name) for each in rest)
        for name in ("value_bits", "index_bits", "header_bits", "bytes", "dense_bytes")
    )
    entropy = f"{sum(each.entropy_bytes for each in rest):,.0f}"
    return f"{len(rest)} others", "", "", *(f"{count:,}" for count in counts), entropy, ""
