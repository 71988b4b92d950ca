"""A person's own project: a folder with samples and a campaign; batches go out and labels come in as CSV."""

from labelwise.project.batch import Batch, ask, tell
from labelwise.project.folder import Project, create, open_project
from labelwise.project.settings import Settings
from labelwise.project.status import Status, status

__all__ = ["Batch", "Project", "Settings", "Status", "ask", "create", "open_project", "status", "tell"]
