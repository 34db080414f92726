"""The real compose.yaml on a real engine: one file a scenario of the specification."""
