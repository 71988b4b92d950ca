"""The reference holds every public name: what faces export, what tables name, all mathematics, and what the docs import."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import labelwise

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
MATHEMATICS = ("labelwise.functional.", "labelwise.objectives.")


def full_name(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


def is_documented(thing):
    return (
        (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__.startswith("labelwise")
        and bool(thing.__doc__)
    )


def at(path):
    """What a dotted path leads to: a module, or something in one."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        place, _, name = path.rpartition(".")
        return getattr(import_module(place), name)


def own(module):
    """Functions and classes that a module defines itself."""
    return [
        thing
        for name, thing in vars(module).items()
        if not name.startswith("_") and is_documented(thing) and thing.__module__ == module.__name__
    ]


def shown(text):
    """Every object that a page's directives show, in its own words: path, and options as YAML beneath."""
    found = []
    for path, below in re.findall(r"^::: (\S+)\n((?:    .*\n)*)", text + "\n", flags=re.MULTILINE):
        options = (yaml.safe_load(below) or {}).get("options", {}) if below else {}
        thing = at(path)
        if not inspect.ismodule(thing):
            found.append(thing)
        elif "members" in options:
            found += [getattr(thing, name) for name in options["members"]]
        else:
            hidden = [f.removeprefix("!") for f in options.get("filters", [])]
            found += [one for one in own(thing) if not any(re.search(f, one.__name__) for f in hidden)]
    return [full_name(thing) for thing in found]


def python_blocks():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        yield from re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for script in (ROOT / "examples").glob("*.py"):
        yield script.read_text()


def public():
    """Full name -> why it is public."""
    from labelwise import data, models

    names = {}
    modules = [m.name for m in pkgutil.walk_packages(labelwise.__path__, "labelwise.")]
    for name in ["labelwise", *(m for m in modules if not m.endswith("__main__") and "._" not in m)]:
        module = import_module(name)
        listed = [getattr(module, one) for one in getattr(module, "__all__", ())]
        names |= {full_name(thing): f"{name}.__all__" for thing in listed if is_documented(thing)}
        faces = [name.rpartition(".")[0], name]
        if name.startswith(MATHEMATICS) and not any(
            hasattr(import_module(face), "__all__") for face in faces
        ):
            names |= {full_name(thing): "mathematics" for thing in own(module)}
    # Strategies have a page of their own, printed from their docstrings, so that a new one costs no line here.
    for table in (data.TABLE, {k: place for k, (place, _) in models.TABLE.items()}):
        for row, place in table.items():
            if is_documented(thing := at(place.replace(":", "."))):
                names[full_name(thing)] = f"the table's row {row!r}"
    for block in python_blocks():
        for node in ast.walk(ast.parse(block)):
            # Commands are documented by their help.
            if isinstance(node, ast.ImportFrom) and re.match(r"labelwise(?!\.cli)", node.module or ""):
                for alias in node.names:
                    if is_documented(thing := at(f"{node.module}.{alias.name}")):
                        names[full_name(thing)] = "imported in the docs or the examples"
    return names


@pytest.mark.slow
def test_the_reference_shows_every_public_name_once():
    found = [name for page in PAGES for name in shown(page.read_text())]
    missing = {name: why for name, why in public().items() if name not in found}
    assert not missing, f"no page of docs/reference shows them: {missing}"
    twice = sorted({name for name in found if found.count(name) > 1})
    assert not twice, f"docs/reference shows them twice, so that links have two ends: {twice}"


def test_the_page_that_lacks_a_public_name_is_noticed():
    """Bite check: a directive taken away, or a member left out, shows less."""
    text = (ROOT / "docs" / "reference" / "scores.md").read_text()
    assert "labelwise.functional.scores.entropy" in shown(text)
    assert "labelwise.functional.scores.entropy" not in shown(
        text.replace("::: labelwise.functional.scores\n", "")
    )
    some = "::: labelwise.functional.scores\n    options:\n      members: [smallest_margin]\n"
    assert shown(some) == ["labelwise.functional.scores.smallest_margin"]


def test_every_page_of_the_reference_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    for page in PAGES:
        assert f"reference/{page.name}" in menu
