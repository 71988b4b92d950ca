"""Batches: arrays in, rows to ask for out. One file a family; import the functions from here."""

from __future__ import annotations

from labelwise.functional.batches.centres import k_center, kmeans_pp
from labelwise.functional.batches.fisher import bait, bait_form
from labelwise.functional.batches.gradients import gradient_distances, gradient_kmeans_pp
from labelwise.functional.batches.graphs import galaxy
from labelwise.functional.batches.joint import batch_bald, joint_mutual_information
from labelwise.functional.batches.quotas import class_quotas, proportional_quotas, top_per_class
from labelwise.functional.batches.ranking import top
from labelwise.functional.batches.similarity import (
    CosineSimilarity,
    GivenSimilarity,
    GradientSimilarity,
    RbfSimilarity,
    Similarity,
)
from labelwise.functional.batches.submodular import facility_location, graph_cut, log_determinant
from labelwise.functional.batches.submodular_information import (
    conditional_gain,
    conditional_mutual_information,
    submodular_mutual_information,
    submodular_value,
)

__all__ = [
    "CosineSimilarity",
    "GivenSimilarity",
    "GradientSimilarity",
    "RbfSimilarity",
    "Similarity",
    "bait",
    "bait_form",
    "batch_bald",
    "class_quotas",
    "conditional_gain",
    "conditional_mutual_information",
    "facility_location",
    "galaxy",
    "gradient_distances",
    "gradient_kmeans_pp",
    "graph_cut",
    "joint_mutual_information",
    "k_center",
    "kmeans_pp",
    "log_determinant",
    "proportional_quotas",
    "submodular_mutual_information",
    "submodular_value",
    "top",
    "top_per_class",
]
