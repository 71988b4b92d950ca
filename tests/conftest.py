"""Settings of all tests."""

import os

from hypothesis import settings

# A deadline of 200 ms an example fails on a busy machine what is right. The suite tries the same examples each time,
# so that a change is judged by what it changes; `HYPOTHESIS_PROFILE=explore make test` looks for new ones.
settings.register_profile("labelwise", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, derandomize=False, max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "labelwise"))
