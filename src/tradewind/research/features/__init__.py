"""Features and labels: computed, checked, and held to knowing nothing later."""
