"""A project: a folder with settings, samples and a campaign, made whole by `create`, opened by anybody."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelwise.data.own import Source as Samples
from labelwise.errors import CorruptStore, InputError, MissingSignal
from labelwise.events import Opened, State, replay
from labelwise.project.answers import Classes
from labelwise.project.disk import disk_error, sync_folder
from labelwise.project.samples import (
    Items,
    fingerprints,
    items_of,
    read_items,
    read_task,
    write_data,
    write_items,
)
from labelwise.project.settings import Settings, read_settings, write_settings
from labelwise.store.base import Store

if TYPE_CHECKING:
    from labelwise.campaign import Campaign
    from labelwise.data.task import Task
    from labelwise.strategies.base import Strategy

STORE = "campaign.db"
BATCHES = "batches"
# (what, done, total) during long steps.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Project:
    """A project folder that was opened.

    Attributes:
        folder: where it lies.
        settings: project.toml.
        items: who is who.
        files: file -> SHA-256 of what `new` wrote, as the campaign remembers it.
    """

    folder: Path
    settings: Settings
    items: Items
    files: Mapping[str, str]

    @property
    def classes(self) -> Classes:
        """The names of the classes, and how people may write them."""
        return Classes(self.settings.classes)

    @contextmanager
    def store(self, *, readonly: bool = False) -> Iterator[Store]:
        """Yield the store of the campaign and close it afterwards.

        Raises:
            StoreError: it is missing, damaged, or from a newer labelwise.
        """
        with _store(self.folder, readonly=readonly) as store:
            yield store

    def state(self) -> State:
        """Return where the campaign stands; neither model nor samples are touched."""
        with self.store(readonly=True) as store:
            return replay(store.read())

    def task(self) -> Task:
        """Return the samples as the model sees them.

        Raises:
            CorruptStore: a file of data/ is missing, changed or damaged.
        """
        return read_task(self.settings.name, self.folder, self.settings.classes, self.items, self.files)

    @contextmanager
    def campaign(self, progress: Progress | None = None) -> Iterator[Campaign]:
        """Yield the campaign, and close its store afterwards."""
        with self.store() as store:
            yield _campaign(self.settings, self.task(), store, {}, progress)

    def missing(self) -> list[str]:
        """Return the image files of the pool that are no longer where they were."""
        from labelwise.data.images import SUFFIXES

        if not self.settings.source.images:
            return []
        root = Path(self.settings.source.images)
        there = _files_below(root)
        # In a table with an image column, a row without an image is called by its number.
        keys = [self.items.keys[i] for i in self.items.ids("pool").tolist()]
        files = [key for key in keys if Path(key).suffix.lower() in SUFFIXES]
        return [key for key in files if key not in there and not (root / key).is_file()]

    def added(self) -> list[str]:
        """Return the image files that came into the folder since `new`; they are not part of the project."""
        source = self.settings.source
        if not source.images or source.table:
            return []
        from labelwise.data.images import SUFFIXES

        here = {name for name in _files_below(Path(source.images)) if Path(name).suffix.lower() in SUFFIXES}
        return sorted(here - set(self.items.keys))


def _files_below(root: Path) -> set[str]:
    """Return the files below a folder as relative paths; hidden ones are passed over, as when it was read."""
    found: set[str] = set()
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        below = Path(folder).relative_to(root)
        found.update((below / name).as_posix() for name in files if not name.startswith("."))
    return found


@contextmanager
def _store(folder: Path, *, readonly: bool = False, create: bool = False) -> Iterator[Store]:
    from labelwise.store.sql import SqlStore  # SQLAlchemy takes a quarter of a second to import

    store = SqlStore(folder / STORE, create=create, readonly=readonly)
    try:
        yield store
    finally:
        store.close()


def _campaign(
    settings: Settings, task: Task, store: Store, notes: Mapping[str, object], progress: Progress | None
) -> Campaign:
    from labelwise import models
    from labelwise.campaign import Campaign

    recipe = dict(settings.recipe)
    name = recipe.pop("name")
    made, strategy = models.make(name, **recipe), fair_strategy(settings.strategy)
    try:
        return Campaign(task, made, strategy, store, settings.plan, notes=notes, progress=progress)
    except MissingSignal as error:
        raise MissingSignal(
            f"{settings.strategy['name']} cannot choose by what the model {name} tells: {error} Networks give embeddings "
            "(cnn, mlp), multimodal those of each modality; margin and entropy do with any model."
        ) from error


def fair_strategy(named: Mapping[str, Any]) -> Strategy:
    """Return the strategy that project.toml names; raise InputError for one that knows the labels before it asks."""
    from labelwise import strategies
    from labelwise.strategies.cheating import check_fair

    made = strategies.make(**named)
    check_fair(made, str(named["name"]))
    return made


def check_new(folder: Path) -> None:
    """Raise InputError if a project cannot be made at a place: something is there already."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        what = "is a file" if folder.is_file() else "is not empty"
        raise InputError(
            f"{folder} {what}; a new project needs a folder that is empty or not there. Choose another name."
        )


def create(folder: Path, settings: Settings, samples: Samples) -> Project:
    """Make a project: samples are copied, the campaign is opened, and the folder appears whole or not at all.

    Args:
        folder: a place where there is nothing, or an empty folder.
        settings: what project.toml shall say.
        samples: the task, and how each sample is called.

    Raises:
        InputError: the folder is not empty, or recipe, strategy and samples do not fit together.
        StoreError: the disk is full or the place cannot be written.
    """
    check_new(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".draft", dir=folder.parent))
        draft.chmod(0o777 & ~_umask())  # mkdtemp makes it private; a project may be a team's
    except OSError as error:
        raise disk_error(folder, error, "written") from error
    try:
        write_settings(settings, draft)
        write_items(items_of(samples.task, samples.keys), settings.classes, draft)
        write_data(samples.task, draft)
        (draft / BATCHES).mkdir()
        files = fingerprints(draft)
        items = read_items(draft, settings.classes, files["items.csv"])
        task = read_task(settings.name, draft, settings.classes, items, files)
        with _store(draft, create=True) as store:
            _campaign(settings, task, store, {"project": settings.name, "files": files}, None)
        sync_folder(draft)
        del task  # its memory maps keep files open, and Windows moves no open file
        draft.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise disk_error(folder, error, "written") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # moved by now, or of no use
    return open_project(folder)


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def open_project(folder: Path) -> Project:
    """Return the project in a folder.

    Raises:
        InputError: there is none, or project.toml is damaged.
        StoreError: campaign.db is missing, damaged, or from a newer labelwise.
        CorruptStore: items.csv is not as `new` wrote it, or the classes of project.toml were changed.
    """
    settings = read_settings(folder)
    with _store(folder, readonly=True) as store:
        events = store.read()
    opened = events[0] if events else None
    if not isinstance(opened, Opened) or "files" not in opened.notes:
        raise CorruptStore(f"{folder / STORE} holds no campaign of a project. Put the file back from a copy.")
    if list(settings.classes) != list(opened.task["classes"]):
        raise InputError(
            f"{folder / 'project.toml'} names the classes {', '.join(settings.classes)}; the campaign was "
            "opened with "
            f"{', '.join(opened.task['classes'])}. Put them back; other classes need a new project."
        )
    files = dict(opened.notes["files"])
    items = read_items(folder, settings.classes, files["items.csv"])
    return Project(folder, settings, items, files)
