"""From reflectance to a classifier."""

import os

# TensorFlow prints start-up notes in C++ before any Python filter can act; errors still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
