"""The table of tasks: name -> the function that builds it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from labelwise.checks import check_name
from labelwise.data.base import Task
from labelwise.errors import InputError

TABLE: dict[str, str] = {
    "digits": "labelwise.data.digits:digits",
    "digit-halves": "labelwise.data.digits:digit_halves",
}


def make(name: str, **params: Any) -> Task:
    """Return the task with this name, built with `params`.

    Raises:
        UnknownName: no task has this name.
        InputError: the task has no such parameter, or its data are not where they should be.
    """
    check_name(name, tuple(TABLE), "task")
    module, _, attribute = TABLE[name].partition(":")
    build = getattr(import_module(module), attribute)
    try:
        task = build(**params)
    except TypeError as error:
        raise InputError(f"Task {name!r} cannot be built: {error}.") from error
    assert isinstance(task, Task)
    return task
