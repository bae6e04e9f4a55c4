"""From reflectance to a classifier."""
