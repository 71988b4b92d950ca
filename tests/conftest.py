"""Settings of all tests."""

from hypothesis import settings

# A deadline of 200 ms an example fails on a busy machine what is right.
settings.register_profile("labelwise", deadline=None)
settings.load_profile("labelwise")
