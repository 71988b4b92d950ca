"""Law H: imports only go down; the face is quick and free of torch; nothing dangerous is called."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "labelwise"
FILES = sorted(SRC.rglob("*.py"))

# room -> rooms of labelwise it may import; longest prefix of a module's name is its room.
MAY: dict[str, set[str]] = {
    "errors": set(),
    "seeds": {"errors"},
    "events": {"errors"},
    "checks": {"errors"},
    "signals": {"errors", "checks"},
    "functional": {"errors", "checks", "seeds", "functional"},
    "data": {"errors", "checks", "seeds", "functional.copulas", "data"},
    "store": {"errors", "checks", "events", "store"},
    "oracle": {"errors", "checks", "seeds"},
    "arrays": {"errors", "checks"},
    "describing": set(),
    "campaign.viewing": {"data.base", "data.task", "models.base", "signals"},
    "campaign.measuring": {
        "data.base", "data.task", "models.base", "seeds", "events", "functional.metrics", "functional.contribution",
        "functional.stress", "functional.stopping",
    },
    "campaign.opening": {"data.task", "models.base", "strategies.base", "errors", "events", "describing"},
    "campaign.auditing": {"data.task", "models.base", "seeds", "events", "functional.audit"},
    "campaign.shadow": {
        "data.base", "data.task", "models.base", "errors", "seeds", "events", "functional.audit",
        "campaign.auditing", "campaign.viewing",
    },
    "campaign.telling": {"events", "oracle"},
    "objectives": {"errors", "checks", "objectives"},
    "strategies": {"errors", "checks", "seeds", "events", "signals", "functional", "strategies.base"},
    "models": {"errors", "checks", "seeds", "signals", "functional", "objectives", "data.base", "data.task", "models"},
    "proposing": {"errors", "checks", "signals", "functional.blocks", "strategies.base"},
    "selection": {"errors", "checks", "seeds", "signals", "functional", "strategies", "proposing"},
    "planning": {"errors", "checks", "seeds", "signals", "strategies", "proposing"},
    "campaign": {"campaign.campaign"},
    "campaign.campaign": {
        "errors", "checks", "seeds", "events", "signals", "oracle", "data.base", "data.task", "models.base", "store.base",
        "strategies.base", "describing", "proposing", "campaign.auditing", "campaign.measuring", "campaign.opening",
        "campaign.telling", "campaign.viewing",
    },
    "bench": {
        "errors", "checks", "seeds", "events", "signals", "functional", "oracle", "data", "models", "store",
        "strategies", "campaign", "bench",
    },
    "project": {
        "errors", "checks", "seeds", "events", "signals", "functional", "oracle", "data", "models", "store",
        "strategies", "campaign", "project",
    },
    "cli": {"*"},
    "__main__": {"*"},
    "__init__": {"campaign", "events", "selection", "signals", "strategies"},
}  # fmt: skip
TORCH_ROOMS = {"models", "objectives"}
# Files that train or compute with torch when asked to, and import it inside functions only.
TORCH_INSIDE = {
    "functional.backend",
    "strategies.graph",
    "strategies.contextual",
    "strategies.balance.policy",
    "strategies.trustset.reward",
}


def room_of(module: str) -> str:
    """The longest prefix of a module's name that the table knows."""
    parts = module.split(".")
    prefixes = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in MAY), parts[0])


def module_of(path: Path) -> str:
    parts = list(path.relative_to(SRC).with_suffix("").parts)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def imports(path: Path) -> list[tuple[str, bool]]:
    """Every imported module and whether the import runs at import time of the file."""
    tree = ast.parse(path.read_text())
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full, not relative"
            names = [node.module or ""]
            if node.module == "labelwise":
                names = [f"labelwise.{alias.name}" for alias in node.names]
        found += [(name, id(node) not in inside) for name in names]
    return found


def shared(there: str, module: str) -> bool:
    """A system of strategies has a folder of its own, whose files may import one another."""
    return there.rpartition(".")[0] == module.rpartition(".")[0]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_only_go_down(path):
    module = module_of(path)
    may = MAY[room_of(module)]
    for name, _ in imports(path):
        if not name.startswith("labelwise.") or "*" in may:
            continue
        there = name.removeprefix("labelwise.")
        # A table's own folder may name its base; the table itself imports nothing else.
        allowed = (
            any(there == m or there.startswith(m + ".") for m in may)
            or there == room_of(module) + ".base"
            or (there.startswith("strategies.") and there.count(".") > 1 and shared(there, module))
        )
        assert allowed, f"`{module}` imports `{there}`: {room_of(module)} may import {sorted(may)}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_torch_is_imported_by_models_only(path):
    module = module_of(path)
    for name, at_import in imports(path):
        if name.split(".")[0] == "torch":
            late = module in TORCH_INSIDE and not at_import
            assert room_of(module) in TORCH_ROOMS or late, f"`{module}` imports torch"


def test_strategies_do_not_import_one_another():
    for path in (SRC / "strategies").glob("*.py"):
        for name, _ in imports(path):
            assert name in ("labelwise.strategies.base",) or not name.startswith("labelwise.strategies."), (
                path.name
            )


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_nothing_dangerous_is_called(path):
    bad_calls = {"eval", "exec", "__import__", "fork"}
    bad_modules = {"pickle", "dill", "joblib", "marshal", "shelve"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            is_plain = isinstance(node.func, ast.Name) or name == "fork"
            assert not (is_plain and name in bad_calls), f"{path.name}:{node.lineno} calls {name}"
            for keyword in node.keywords:
                value = keyword.value
                if keyword.arg in ("shell", "allow_pickle") and isinstance(value, ast.Constant):
                    assert value.value is False, f"{path.name}:{node.lineno} sets {keyword.arg}"
                if keyword.arg == "weights_only" and isinstance(value, ast.Constant):
                    assert value.value is True, f"{path.name}:{node.lineno} sets weights_only=False"
    for name, _ in imports(path):
        assert name.split(".")[0] not in bad_modules, f"{path.name} imports {name}"


def test_every_file_says_what_it_is_for_and_is_short():
    for path in FILES:
        tree = ast.parse(path.read_text())
        empty = not tree.body
        assert empty or ast.get_docstring(tree), f"{module_of(path)} has no docstring"
        lines = len(path.read_text().splitlines())
        assert lines <= 400, f"{module_of(path)} has {lines} lines: is it still one thing?"


@pytest.mark.parametrize(
    "module",
    [
        "labelwise",
        "labelwise.campaign",
        "labelwise.store",
        "labelwise.bench.results",
        "labelwise.bench.spec",
        "labelwise.cli",
    ],
)
def test_the_face_does_not_load_heavy_libraries(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'sklearn', 'matplotlib', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
