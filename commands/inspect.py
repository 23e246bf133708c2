"""``intaglio inspect``: what a blob file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import api
from ..backends.blob_sections import sections
from ..backends.storage import storage_report
from ..backends.summary import layers, program_text, sizes
from ..ir.program import Program, Slot
from ..passes.pipeline import digest_of
from .storage import show_storage
from .terminal import certificate_lines, facts, layer_table, proof_text, say, say_json, size_facts


def inspect(
    path: Path,
    limit: int | None,
    *,
    text: bool,
    certificates: bool,
    storage: bool,
    as_json: bool,
) -> None:
    """Print header, bytes, layers and recipe; or only program, certificates or storage."""
    network = api.load(path, limit)
    if as_json:
        say_json(to_json(path, network))
        return
    if text:
        say(program_text(network.program))
    if certificates:
        certificate_lines(layers(network.program, network.blob))
    if storage:
        show_storage(storage_report(network.program, network.blob))
    if not (text or certificates or storage):
        _show(path, network)


def to_json(path: Path, network: api.Network) -> dict[str, Any]:
    """Everything that ``inspect`` prints, with and without options."""
    program, blob = network.program, network.blob
    return {
        "file": str(path),
        "name": program.name,
        "recipe": program.recipe,
        "digest": digest_of(program.recipe),
        "arena_bytes": program.arena_bytes,
        "slots": len(program.slots),
        "steps": len(program.steps),
        "inputs": [_slot_json(slot) for slot in network.inputs],
        "outputs": [_slot_json(slot) for slot in network.outputs],
        "sections": sections(blob),
        "bytes": sizes(program, blob).to_json(),
        "layers": [layer.to_json() for layer in layers(program, blob)],
        "text": program_text(program),
        "storage": storage_report(program, blob).to_json(),
    }


def _slot_json(slot: Slot) -> dict[str, Any]:
    meaning = slot.encoding.to_json() if slot.encoding else {}
    return {"name": slot.name, "type": str(slot.type)} | meaning


def _show(path: Path, network: api.Network) -> None:
    program, blob = network.program, network.blob
    facts(
        [
            ("file", path),
            ("name", program.name),
            *(("input", _slot_text(slot)) for slot in network.inputs),
            *(("output", _slot_text(slot)) for slot in network.outputs),
            ("slots", _counts(program)),
            ("arena", f"{program.arena_bytes:,} bytes per sample"),
        ]
    )
    found = layers(program, blob)
    layer_table(found)
    named = ", ".join(f"{name} {count:,}" for name, count in sections(blob).items())
    facts(
        [
            *size_facts(sizes(program, blob)),
            ("sections", named),
            ("proof", proof_text(found)),
            ("recipe", program.recipe),
            ("digest", digest_of(program.recipe)),
        ]
    )


def _counts(program: Program) -> str:
    return (
        f"{len(program.slots)}, {len(program.constants)} of them constants; "
        f"{len(program.steps)} steps"
    )


def _slot_text(slot: Slot) -> str:
    meaning = f", real = {slot.encoding.formula}" if slot.encoding else ""
    return f"{slot.name}: {slot.type}{meaning}"
