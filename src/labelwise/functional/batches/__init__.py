"""Batches: arrays in, rows to ask for out. One file a family; import the functions from here."""

from __future__ import annotations

from labelwise.functional.batches.active_ft import active_ft, active_ft_loss, active_ft_parameters
from labelwise.functional.batches.bandit import tailor
from labelwise.functional.batches.boundaries import balanced_boundaries
from labelwise.functional.batches.candidates import kmeans_among
from labelwise.functional.batches.centres import k_center, kmeans_pp
from labelwise.functional.batches.class_similarity import ClasswiseSimilarity, GradientSimilarity
from labelwise.functional.batches.clustered import cluster_margin, kmeans_batch, typicality, typiclust
from labelwise.functional.batches.coverage import prob_cover, purity_radius
from labelwise.functional.batches.fisher import bait, bait_form
from labelwise.functional.batches.glister import glister
from labelwise.functional.batches.gradients import (
    gradient_distances,
    gradient_kmeans_pp,
    joint_gradient_kmeans_pp,
)
from labelwise.functional.batches.graphs import galaxy
from labelwise.functional.batches.herding import least_distance, max_herding
from labelwise.functional.batches.joint import batch_bald, joint_mutual_information
from labelwise.functional.batches.quotas import class_quotas, proportional_quotas, top_per_class
from labelwise.functional.batches.ranking import top
from labelwise.functional.batches.similarity import (
    CosineSimilarity,
    GivenSimilarity,
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
    "ClasswiseSimilarity",
    "CosineSimilarity",
    "GivenSimilarity",
    "GradientSimilarity",
    "RbfSimilarity",
    "Similarity",
    "active_ft",
    "active_ft_loss",
    "active_ft_parameters",
    "bait",
    "bait_form",
    "balanced_boundaries",
    "batch_bald",
    "class_quotas",
    "cluster_margin",
    "conditional_gain",
    "conditional_mutual_information",
    "facility_location",
    "galaxy",
    "glister",
    "gradient_distances",
    "gradient_kmeans_pp",
    "graph_cut",
    "joint_gradient_kmeans_pp",
    "joint_mutual_information",
    "k_center",
    "kmeans_among",
    "kmeans_batch",
    "kmeans_pp",
    "least_distance",
    "log_determinant",
    "max_herding",
    "prob_cover",
    "proportional_quotas",
    "purity_radius",
    "submodular_mutual_information",
    "submodular_value",
    "tailor",
    "top",
    "top_per_class",
    "typicality",
    "typiclust",
]
