"""The tear sheet: figures, plots and words of a training on one page."""
