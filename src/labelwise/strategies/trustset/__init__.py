"""BRAL-T: what the labelled set teaches about importance, carried to the pool by a learned reward."""
