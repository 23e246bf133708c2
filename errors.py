"""Every error a user can meet.

    IntaglioError
    ├── UsageError          an option, a file name or a combination of them cannot work
    ├── ImportModelError    the model file or module cannot be imported
    ├── DataError           an input array does not fit the network
    ├── ShapeError          shapes or types of a node's inputs do not fit its operator
    ├── NumericError        an integer could overflow, or a number is not finite
    ├── PassError           a pass of the pipeline failed
    ├── VerifyError         a graph or program breaks a rule of its stage
    ├── TextError           a graph in text form cannot be parsed
    ├── BlobError           a blob is damaged, too new or not a blob
    ├── MismatchError       two executions that must be equal are not
    └── InternalError       intaglio's own fault

The text of an error is one paragraph: what happened and where in the user's model, then what to do.
"""


class IntaglioError(Exception):
    """What happened (``what``), where in the user's model (``where``), what to do (``fix``)."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.fix}" if self.fix else ""
        return f"{place}{self.what}{advice}"


class UsageError(IntaglioError):
    """An option, a file name or a combination of them cannot work."""


class ImportModelError(IntaglioError):
    """The model file or module cannot be imported."""


class DataError(IntaglioError):
    """An input array does not fit the network."""


class ShapeError(IntaglioError):
    """Shapes or types of a node's inputs do not fit its operator."""


class NumericError(IntaglioError):
    """An integer could overflow, or a number is not finite."""


class PassError(IntaglioError):
    """A pass of the pipeline failed; the original error is its ``__cause__``."""


class VerifyError(IntaglioError):
    """A graph or program breaks a rule of its stage."""


class TextError(IntaglioError):
    """A graph in text form cannot be parsed."""


class BlobError(IntaglioError):
    """A blob is damaged, too new or not a blob."""


class MismatchError(IntaglioError):
    """Two executions that must be equal are not."""


class InternalError(IntaglioError):
    """intaglio's own fault; please report it with the text of the error."""
