"""Settings of all tests."""

from hypothesis import settings

# A deadline of 200 ms an example fails on a busy machine what is right; how long tests take is watched elsewhere.
settings.register_profile("labelwise", deadline=None)
settings.load_profile("labelwise")
