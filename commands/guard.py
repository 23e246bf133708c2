"""The border of the command line: every exception becomes a message and an exit code."""

from __future__ import annotations

import inspect
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from ..errors import IntaglioError, InternalError, MismatchError
from ..passes import processes

LET_LEAD_SPEAK = 2.0
"""Seconds that a process waits before it says what the leading one says as well."""
DIFFERENT, BAD_INPUT, OUR_FAULT, INTERRUPTED = 1, 2, 70, 130

Debug = Annotated[
    bool, typer.Option("--debug", envvar="INTAGLIO_DEBUG", help="Show tracebacks of errors.")
]
_DEBUG = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with an option ``--debug``; its exceptions become exit codes."""

    @wraps(command)
    def run(*args: Any, debug: bool = False, **options: Any) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            if processes.leads():
                sys.stderr.write("Interrupted.\n")
            raise typer.Exit(INTERRUPTED) from None
        except InternalError as error:
            raise typer.Exit(_report(error, debug=debug)) from None
        except IntaglioError as error:
            raise typer.Exit(_explain(error, debug=debug)) from None
        except (typer.Exit, BrokenPipeError):
            raise
        except Exception as error:  # The border: whatever else arrives here is a bug of ours.
            raise typer.Exit(_report(error, debug=debug)) from None

    signature = inspect.signature(command, eval_str=True)
    parameters = [*signature.parameters.values(), _DEBUG]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def _explain(error: IntaglioError, *, debug: bool) -> int:
    """The error's paragraph on stderr, after its traceback when ``debug``."""
    who = _who()
    if debug:
        traceback.print_exception(error)
    sys.stderr.write(f"{who}{error}\n")
    return DIFFERENT if isinstance(error, MismatchError) else BAD_INPUT


def _report(error: Exception, *, debug: bool) -> int:
    """Ask for a report of a bug; the traceback goes to stderr when ``debug``, else to a file."""
    who = _who()
    if debug:
        traceback.print_exception(error)
        place = "above"
    else:
        place = f"in {_save(error)}"
    sys.stderr.write(
        f"{who}intaglio failed by its own fault: {type(error).__name__}: {error}. "
        f"Please report this with the traceback, which is {place}.\n"
    )
    return OUR_FAULT


def _who() -> str:
    """What stands before an error: which of several processes met it, after a while.

    When the leading process fails as well, torchrun ends the others before they repeat it.
    """
    if processes.leads():
        return ""
    time.sleep(LET_LEAD_SPEAK)
    return f"Process {processes.rank()}: "


def _save(error: Exception) -> str:
    with tempfile.NamedTemporaryFile(
        "w", prefix="intaglio-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.writelines(traceback.format_exception(error))
        return file.name
