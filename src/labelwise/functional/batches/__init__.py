"""Batches: arrays in, rows to ask for out. One file a family; import the functions from here."""

from __future__ import annotations

from labelwise.functional.batches.ranking import top

__all__ = ["top"]
