"""Search, track, register, promote."""
