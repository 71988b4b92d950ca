"""Clusters: k-means with k-means++ seeds and mini-batches, hierarchical clustering, nearest centroids and rows."""

from __future__ import annotations

from labelwise.functional.clusters.hierarchy import hierarchical, sampled_hierarchical
from labelwise.functional.clusters.partition import (
    Clustering,
    Rows,
    kmeans,
    nearest_centroid,
    nearest_rows,
    raised,
    rows_of,
    squared_distances,
)

__all__ = [
    "Clustering",
    "Rows",
    "hierarchical",
    "kmeans",
    "nearest_centroid",
    "nearest_rows",
    "raised",
    "rows_of",
    "sampled_hierarchical",
    "squared_distances",
]
