"""Numbers of hardware files: each with a range, a unit and the place it is from."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .range import Range

TO_PICO = {"fJ/bit^2": 1e-3, "fJ/bit": 1e-3, "pJ/bit": 1.0, "pJ": 1.0, "1": 1.0}
"""Units, and what makes [pJ] of them; 1 is of shares."""


class Strict(BaseModel):
    """Data that never changes and has no keys but the stated."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Quantity(Strict):
    """``0 <= low <= nominal <= high`` in ``unit``, as ``source`` states them."""

    low: Annotated[float, Field(ge=0)]
    nominal: Annotated[float, Field(ge=0)]
    high: Annotated[float, Field(ge=0)]
    unit: str
    source: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.nominal <= self.high:
            raise ValueError(f"{self.low:g}, {self.nominal:g} and {self.high:g} do not rise")
        return self

    @property
    def pico(self) -> Range:
        """The range in [pJ], per bit or bit^2 where the unit says so."""
        return Range(self.low, self.nominal, self.high) * TO_PICO[self.unit]


def _in(unit: str) -> AfterValidator:
    """Refuses quantities in another unit."""

    def check(found: Quantity) -> Quantity:
        if found.unit != unit:
            raise ValueError(f"is in '{found.unit}', not in '{unit}'")
        return found

    return AfterValidator(check)


Square = Annotated[Quantity, _in("fJ/bit^2")]
PerBit = Annotated[Quantity, _in("fJ/bit")]
Traffic = Annotated[Quantity, _in("pJ/bit")]
Operation = Annotated[Quantity, _in("pJ")]
Share = Annotated[Quantity, _in("1")]
