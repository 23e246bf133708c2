"""What is proved of a lowered node: it equals its definition on every reachable input,
or where it does not; and which of its channels were removed.
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
class Removal:
    """Channels that a node once had: numbered as in the ``channels`` that it had at first.

    ``constant`` pairs a channel with the one code it held for every reachable input; nothing read
    the ``unused`` ones. The network without them computes the same codes.
    """

    channels: int
    constant: tuple[tuple[int, int], ...] = ()
    unused: tuple[int, ...] = ()

    @property
    def survivors(self) -> list[int]:
        """The numbers of the channels that are left, ascending."""
        gone = {channel for channel, _ in self.constant}.union(self.unused)
        return [channel for channel in range(self.channels) if channel not in gone]

    def then(self, later: Removal) -> Removal:
        """This removal and a later one, whose numbers count the survivors of this one."""
        old = self.survivors
        constant = (*self.constant, *((old[channel], code) for channel, code in later.constant))
        unused = (*self.unused, *(old[channel] for channel in later.unused))
        return Removal(self.channels, tuple(sorted(constant)), tuple(sorted(unused)))

    def __str__(self) -> str:
        kinds = ((len(self.constant), "constant"), (len(self.unused), "unused"))
        why = " and ".join(f"{count} {kind}" for count, kind in kinds if count)
        return f"{why} of {self.channels} channels removed"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The proof of one node.

    ``exact``: equal by construction. ``certified``: equal for every input in ``lo..hi``.
    ``table``: the definition was tabulated over ``lo..hi``. ``differs``: ``count`` inputs in
    ``lo..hi`` differ, by at most ``worst``; ``examples`` lists the first of them. ``removal``
    states the channels that are gone; the rest of the proof holds for those that are left.
    """

    verdict: Verdict
    method: str
    lo: int
    hi: int
    count: int = 0
    worst: int = 0
    examples: tuple[Difference, ...] = ()
    removal: Removal | None = None

    @property
    def proved(self) -> bool:
        return self.verdict != "differs"

    def __str__(self) -> str:
        return f"{self._proof}; {self.removal}" if self.removal else self._proof

    @property
    def _proof(self) -> str:
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
        if self.removal is not None:
            found["removal"] = {key: value for key, value in asdict(self.removal).items() if value}
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
            _removal(given["removal"]) if "removal" in given else None,
        )


def _removal(given: dict[str, Any]) -> Removal:
    """The inverse of ``asdict``, without the fields that are empty; refuses what cannot be."""
    constant = tuple((int(channel), int(code)) for channel, code in given.get("constant", ()))
    found = Removal(int(given["channels"]), constant, tuple(map(int, given.get("unused", ()))))
    gone = [*found.unused, *(channel for channel, _ in constant)]
    if len(set(gone)) != len(gone) or not all(0 <= each < found.channels for each in gone):
        raise ValueError("a channel that is not there was removed")
    return found
