"""From predictions to positions, books and returns."""
