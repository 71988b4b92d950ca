"""The table of simulated tasks (name -> the function that builds it), and the doors to a user's own data."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from labelwise.checks import check_name
from labelwise.data.audio import audio_folder, log_mel, read_audio
from labelwise.data.base import ArrayDataset, Dataset, Labelled
from labelwise.data.columns import Columns
from labelwise.data.download import PUBLIC, DownloadError, download
from labelwise.data.files import read_idx, read_npz, read_table
from labelwise.data.own import Source, folder_task, image_folder
from labelwise.data.tables import table_simulation, table_task
from labelwise.data.task import Task
from labelwise.data.truth import Simulation
from labelwise.data.weakening import corrupted, missing
from labelwise.errors import InputError, did_you_mean

__all__ = [
    "PUBLIC",
    "TABLE",
    "ArrayDataset",
    "Columns",
    "Dataset",
    "DownloadError",
    "Labelled",
    "Simulation",
    "Source",
    "Task",
    "audio_folder",
    "corrupted",
    "download",
    "folder_task",
    "image_folder",
    "log_mel",
    "make",
    "missing",
    "read_audio",
    "read_idx",
    "read_npz",
    "read_table",
    "table_simulation",
    "table_task",
]

TABLE: dict[str, str] = {
    "digits": "labelwise.data.digits:digits",
    "digit-halves": "labelwise.data.digits:digit_halves",
    "mnist": "labelwise.data.imagesets:mnist",
    "fashion-mnist": "labelwise.data.imagesets:fashion_mnist",
    "pneumonia-mnist": "labelwise.data.imagesets:pneumonia_mnist",
    "sign-digits": "labelwise.data.imagesets:sign_digits",
    "trashnet": "labelwise.data.imagesets:trashnet",
    "cifar10": "labelwise.data.pixelsets:cifar10",
    "cifar100": "labelwise.data.pixelsets:cifar100",
    "emnist": "labelwise.data.pixelsets:emnist",
    "breakhis": "labelwise.data.photosets:breakhis",
    "waterbirds": "labelwise.data.photosets:waterbirds",
    "tiny-imagenet": "labelwise.data.photosets:tiny_imagenet",
    "fruits-360": "labelwise.data.fruits:fruits_360",
    "esc10": "labelwise.data.imagesets:esc10",
    "fsdd": "labelwise.data.imagesets:fsdd",
    "mfeat": "labelwise.data.othersets:mfeat",
    "banking77": "labelwise.data.othersets:banking77",
    "womens-reviews": "labelwise.data.othersets:womens_reviews",
    "womens-departments": "labelwise.data.othersets:womens_departments",
    "digit-pairs": "labelwise.data.pairedsets:digit_pairs",
    "phone-watch-har": "labelwise.data.pairedsets:phone_watch_har",
    "mulberry": "labelwise.data.pairedsets:mulberry",
    "food101": "labelwise.data.food101:food101",
    "kinetics-sound": "labelwise.data.clips:kinetics_sound",
    "vggsound": "labelwise.data.clips:vggsound",
    "copula": "labelwise.data.copulas:copula",
    "image-folder": "labelwise.data.own:image_folder",
    "audio-folder": "labelwise.data.audio:audio_folder",
    "table": "labelwise.data.tables:table_simulation",
}


def make(name: str, **params: Any) -> Simulation:
    """Return the simulation with this name: a task, and apart from it the labels of its pool.

    Raises:
        UnknownName: no task has this name.
        InputError: the task has no such parameter, lacks one, or its data are not where they should be.
    """
    check_name(name, tuple(TABLE), "task")
    module, _, attribute = TABLE[name].partition(":")
    build = getattr(import_module(module), attribute)
    signature = inspect.signature(build)
    unknown = sorted(set(params) - set(signature.parameters))
    if unknown:
        raise InputError(
            f"Task {name!r} has no parameter {unknown[0]!r}. {did_you_mean(unknown[0], signature.parameters)}"
        )
    try:
        signature.bind(**params)
    except TypeError as error:
        raise InputError(f"Task {name!r} cannot be built: {error}.") from error
    simulation = build(**params)
    assert isinstance(simulation, Simulation)
    return simulation
