"""Glacier mapping from Landsat scenes with a per-pixel network and a U-Net."""
