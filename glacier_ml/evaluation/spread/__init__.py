"""What cross-validation tells: scores of places left out, and how far they spread."""
