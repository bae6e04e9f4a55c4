"""What the satellite saw, and what people drew on it."""
