"""Files of polygons: the layer and window to read, what must be mended, what the columns mean."""
