"""Numbers of hardware files: each with a range, a unit and the place it is from."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from .range import Range

TO_PICO = {"fJ/bit^2": 1e-3, "fJ/bit": 1e-3, "pJ/bit": 1.0, "pJ": 1.0, "1": 1.0, "mW": 1.0}
"""Units, and what makes [pJ] of them; 1 is of shares, mW stays [mW]."""


class Strict(BaseModel):
    """Data that never changes and has no keys but the stated."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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
            raise refusal(
                f"{self.low:g}, {self.nominal:g} and {self.high:g} do not rise",
                "Write low, nominal and high in this order of size.",
            )
        return self

    @classmethod
    def of(cls, found: Range, unit: str, source: str) -> Quantity:
        """A range that is in that unit already."""
        return cls(low=found.low, nominal=found.nominal, high=found.high, unit=unit, source=source)

    @property
    def range(self) -> Range:
        """The range in ``unit``."""
        return Range(self.low, self.nominal, self.high)

    @property
    def pico(self) -> Range:
        """The range in [pJ], per bit or bit^2 where the unit says so."""
        return self.range * TO_PICO[self.unit]

    def times(self, factor: float, why: str) -> Quantity:
        """Scaled by a number, which the source then says."""
        return Quantity.of(self.range * factor, self.unit, f"{self.source}; {why}")


def refusal(what: str, fix: str, key: str = "") -> PydanticCustomError:
    """The error of a validator: what is wrong, the remedy, and a key below the validator's own."""
    return PydanticCustomError("refused", "{what}", {"what": what, "fix": fix, "key": key})


def _in(unit: str) -> AfterValidator:
    """Refuses quantities in another unit."""

    def check(found: Quantity) -> Quantity:
        if found.unit != unit:
            raise refusal(
                f"is in '{found.unit}', not in '{unit}'",
                f'Convert the three numbers and write unit = "{unit}".',
            )
        return found

    return AfterValidator(check)


Square = Annotated[Quantity, _in("fJ/bit^2")]
PerBit = Annotated[Quantity, _in("fJ/bit")]
Traffic = Annotated[Quantity, _in("pJ/bit")]
Operation = Annotated[Quantity, _in("pJ")]
Power = Annotated[Quantity, _in("mW")]
Share = Annotated[Quantity, _in("1")]
