"""What the one-shot services of compose.yaml run."""
