"""A project's folder is forecast from its own validation samples, after four rounds."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from labelwise.cli import app
from labelwise.errors import InputError


def labelwise(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def test_a_project_with_too_few_rounds_is_told_so_and_one_with_enough_is_forecast(mail):
    with pytest.raises(InputError, match="never measured anywhere.*labelwise new"):
        raise labelwise("forecast", mail.folder).exception
    for _ in range(5):
        with mail.campaign() as campaign:
            campaign.tell([(i, i % 2) for i in campaign.ask()])
    told = json.loads(labelwise("forecast", mail.folder, "--labels", 20, "--json").output)
    assert told["measure"] == "validation" and len(told["labels"]) >= 4
    assert told["samples"] == len(mail.items.ids("validation"))
    assert told["options"][0]["labels"] == told["labels"][-1] + 20
