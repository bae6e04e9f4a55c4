"""Settings for the properties: a busy machine is no failure, and each run tries the same examples."""

from hypothesis import settings

settings.register_profile("learning", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("learning")
