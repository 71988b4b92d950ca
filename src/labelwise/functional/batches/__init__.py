"""Batches: arrays in, rows to ask for out. One file a family; import the functions from here."""

from __future__ import annotations

from labelwise.functional.batches.fisher import bait, bait_form
from labelwise.functional.batches.quotas import class_quotas, proportional_quotas, top_per_class
from labelwise.functional.batches.ranking import top

__all__ = ["class_quotas", "proportional_quotas", "top_per_class", "bait", "bait_form", "top"]
