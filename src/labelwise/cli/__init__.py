"""The command `labelwise`: every command is a thin face over the library; errors are two lines, never a traceback."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from labelwise.cli.bank import bank_command
from labelwise.cli.bench import bench_command, demo_command, run_command
from labelwise.cli.data import download_command, recipes_command, tasks_command
from labelwise.cli.drift import drift_command
from labelwise.cli.forecast import forecast_command
from labelwise.cli.new import new_command
from labelwise.cli.people import ask_command, export_command, status_command, tell_command
from labelwise.cli.plan import plan_command
from labelwise.cli.policy import policy_app
from labelwise.cli.recommend import recommend_command
from labelwise.cli.report import report_command
from labelwise.cli.select import select_command
from labelwise.cli.strategies import strategies_command
from labelwise.errors import LabelwiseError

app = typer.Typer(
    name="labelwise",
    help="Decide which unlabelled samples are worth a person's time, and prove what each label bought.",
    epilog="Start with: labelwise demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_PANELS: dict[str, dict[str, Callable[..., None]]] = {
    "See it work": {"demo": demo_command},
    "Choose a strategy": {"recommend": recommend_command},
    "Choose from arrays": {"select": select_command, "plan": plan_command},
    "Label your own files": {
        "new": new_command,
        "ask": ask_command,
        "tell": tell_command,
        "status": status_command,
        "forecast": forecast_command,
        "report": report_command,
        "export": export_command,
        "drift": drift_command,
    },
    "Compare strategies": {
        "run": run_command,
        "bench": bench_command,
        "bank": bank_command,
    },
    "Look things up": {
        "strategies": strategies_command,
        "tasks": tasks_command,
        "recipes": recipes_command,
        "download": download_command,
    },
}


def _prose(doc: str) -> str:
    """Return a docstring whose paragraphs flow to the terminal's width; tables, grids and commands keep their lines."""
    told: list[str] = []
    for line in inspect.cleandoc(doc).splitlines():
        before = told[-1] if told else ""
        alone = not line or not before or before.startswith(("labelwise ", " ")) or "   " in before + line
        if alone or line.startswith(("labelwise ", " ")):
            told.append(line)
        else:
            told[-1] = f"{before} {line}"
    return "\n".join(told)


for _panel, _commands in _PANELS.items():
    for _name, _command in _commands.items():
        app.command(
            _name,
            help=_prose(_command.__doc__ or ""),
            rich_help_panel=_panel,
            no_args_is_help=_name in {"select", "plan", "bench", "bank", "run"},
        )(_command)
for _info in policy_app.registered_commands:
    _info.help = _prose(_info.callback.__doc__ or "") if _info.callback is not None else None
app.add_typer(policy_app, name="policy", rich_help_panel="Compare strategies")


# Newer typers carry a click of their own, so that click's classes are not the ones they raise. Typer's name for
# them is BadParameter -> UsageError -> ClickException, with `show()` and `exit_code`.
_USAGE: type[Any] = typer.BadParameter.__mro__[2]
_STOPPED = "Stopped. Nothing that was recorded is lost; the same command goes on from here."


def main() -> None:
    """Run the command line; every error that labelwise raises becomes words and exit code 2."""
    code: Any = 0
    try:
        code = app(standalone_mode=False)
    except LabelwiseError as error:
        _complain(str(error))
        sys.exit(2)
    except _USAGE as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _complain(_STOPPED)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe (head, less) had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (
        OSError
    ) as error:  # what no command has put into words of its own: a full disk, a folder without rights
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror or error}.")
        sys.exit(2)
    # Outside standalone mode typer returns the code of `raise typer.Exit(code)` instead of raising it, and newer
    # ones make 130 of Ctrl-C.
    if code == 130:
        _complain(_STOPPED)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(words: str) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("error: ", style="bold red") + Text(words))
