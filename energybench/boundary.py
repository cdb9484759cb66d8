"""Where errors become one line and an exit code. Tracebacks are for who asks for them."""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Sequence

import typer

from energybench.terminal import say

TRACEBACK = "ENERGYBENCH_TRACEBACK"
EXTRA_MODULES = ("torch", "numba", "sklearn")
"""What the extra `workloads` installs."""
FAILED, USAGE, NO_ENERGY, MEASURE_FAILED, INTERRUPTED = 1, 2, 4, 125, 130


def call(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; the exit code."""
    # The exit codes of `measure` are the measured command's, so our own failures have to stand apart; and a gate that
    # failed has found no regression.
    first = next((word for word in arguments if not word.startswith("-")), "")
    measuring, failed = first == "measure", USAGE if first == "gate" else FAILED
    try:
        command = typer.main.get_command(app)
        code = command.main(args=list(arguments), prog_name="energybench", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as stop:
        return _quietly(stop.code if isinstance(stop.code, int) else FAILED)
    except BrokenPipeError:
        return _quietly(FAILED)
    except typer.TyperException as error:
        return MEASURE_FAILED if _usage(error) and measuring else error.exit_code
    except Exception as error:
        if os.environ.get(TRACEBACK, "0") not in ("", "0"):
            raise
        say(describe(error))
        return MEASURE_FAILED if measuring else failed
    return code if isinstance(code, int) else 0


def describe(error: Exception) -> str:
    """What is wrong, then what to do, in one line."""
    text = " ".join(str(error).split())
    if type(error).__module__.startswith("energybench"):
        return text
    if isinstance(error, OSError) and not error.strerror:
        return text
    if isinstance(error, FileNotFoundError) and not error.filename:
        return "the folder that you are in does not exist any more; change to one that does"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; {_os_remedy(error)}"
    if isinstance(error, ImportError):
        return f"{text}; {_import_remedy(text)}"
    if isinstance(error, ValueError) and text:
        return f"{text}; run again with --traceback to see where"
    return f"internal error, {type(error).__name__}: {text}; report what --traceback prints"


def _import_remedy(text: str) -> str:
    """What to install; our own extra only where one of its packages is what is missing."""
    missing = re.search(r"No module named '(\w+)", text)
    if missing is None:
        return "correct it, or move it away"
    if missing[1] in EXTRA_MODULES:
        return "the extra `workloads` has it, that is: pip install torch numba scikit-learn"
    return f"install {missing[1]}, or correct the import"


def _os_remedy(error: OSError) -> str:
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return "choose a place that you may write to with --output, or change its permissions"
    if isinstance(error, FileNotFoundError):
        return "check the path"
    return "free some space, or choose another place with --output"


def _usage(error: typer.TyperException) -> bool:
    """Say what is wrong with the command line; whether anything was."""
    if type(error).__name__ == "NoArgsIsHelpError":
        getattr(error, "show")()  # noqa: B009 -- typer's own class is private; it prints the help
        return True
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "energybench"
    message = error.format_message().rstrip(".")
    hint = f"; parameters of a workload are given as --param {name[2:]}=VALUE" if (name := _parameter(error)) else ""
    say(f"{message}{hint}; see: {path} --help")
    return True


def _parameter(error: typer.TyperException) -> str | None:
    name = getattr(error, "option_name", "")
    offered = getattr(error, "possibilities", None) or ()
    near = any(one.startswith(name) or name.startswith(one) for one in offered)
    context = getattr(error, "ctx", None)
    is_run = context is not None and context.command_path.endswith(" run")
    return name if is_run and name.startswith("--") and not near else None


def _quietly(code: int) -> int:
    """Leave without a word: who read our output has gone."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        return code
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    return code
