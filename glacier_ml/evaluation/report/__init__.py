"""The comparison as one page that works offline."""
