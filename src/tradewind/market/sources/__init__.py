"""Where bars come from: kinds of sources, and the files that they read."""
