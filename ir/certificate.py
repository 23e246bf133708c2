"""What is proved of a lowered node: it equals its definition on every reachable input,
or where it does not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["exact", "certified", "table", "differs"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One input where integers and definition part: channel, input, code got, code expected."""

    channel: int
    input: int
    got: int
    expected: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """The proof of one node.

    ``exact``: equal by construction. ``certified``: equal for every input in ``lo..hi``.
    ``table``: the definition was tabulated over ``lo..hi``. ``differs``: ``count`` inputs in
    ``lo..hi`` differ, by at most ``worst``; ``examples`` lists the first of them.
    """

    verdict: Verdict
    method: str
    lo: int
    hi: int
    count: int = 0
    worst: int = 0
    examples: tuple[Difference, ...] = ()

    @property
    def proved(self) -> bool:
        return self.verdict != "differs"

    def __str__(self) -> str:
        if self.verdict == "exact":
            return f"exact by construction ({self.method})"
        if self.verdict == "differs":
            return f"differs at {self.count} inputs of [{self.lo}, {self.hi}] by <= {self.worst}"
        word = "certified over" if self.verdict == "certified" else "table over"
        return f"{word} [{self.lo}, {self.hi}] ({self.method})"

    def to_json(self) -> dict[str, Any]:
        """Fields that differ from their defaults."""
        found = asdict(self)
        found["examples"] = [list(asdict(example).values()) for example in self.examples]
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Certificate:
        """The inverse of ``to_json``; KeyError, TypeError or ValueError for anything else."""
        verdict = given["verdict"]
        if verdict not in ("exact", "certified", "table", "differs"):
            raise ValueError(f"unknown verdict {verdict!r}")
        return cls(
            verdict,
            str(given.get("method", "")),
            int(given.get("lo", 0)),
            int(given.get("hi", 0)),
            int(given.get("count", 0)),
            int(given.get("worst", 0)),
            tuple(Difference(*map(int, example)) for example in given.get("examples", ())),
        )
