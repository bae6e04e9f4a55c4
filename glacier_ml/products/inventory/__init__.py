"""From map rasters to an inventory: glacier outlines, areas, their uncertainty and their change."""
