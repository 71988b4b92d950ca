"""Recipes that train something beside the classifier and answer it as a named scalar."""
