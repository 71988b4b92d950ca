"""Small real projects for every test here: a table of text and numbers, and a folder of pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from project_samples import write_table

from labelwise.data.columns import Columns
from labelwise.project.folder import Project, open_project
from labelwise.project.new import Wish, new


@pytest.fixture(scope="session")
def made_mail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with mail.csv (200 rows, 60 labelled) and the project mail/ made of it; nobody writes here."""
    home = tmp_path_factory.mktemp("mail")
    write_table(home / "mail.csv", 200, 60)
    wish = Wish(
        table=home / "mail.csv",
        columns=Columns(text="title", numbers=("price", "weight"), label="kind"),
        classes=("spam", "ham"),
        batch=20,
        seed=3,
    )
    new(home / "mail", wish)
    return home


@pytest.fixture
def mail(made_mail: Path, tmp_path: Path) -> Project:
    """A fresh copy of the project mail, nothing asked yet."""
    shutil.copytree(made_mail / "mail", tmp_path / "mail")
    return open_project(tmp_path / "mail")


@pytest.fixture
def plain(tmp_path: Path) -> Project:
    """A project without any label: 2,500 rows with one number; the first round asks for 2,000."""
    with (tmp_path / "plain.csv").open("w") as file:
        file.write("x\n" + "".join(f"{i % 7}\n" for i in range(2500)))
    wish = Wish(
        table=tmp_path / "plain.csv", columns=Columns(numbers=("x",)), classes=("even", "odd"), start=2000
    )
    return new(tmp_path / "plain", wish)[0]
