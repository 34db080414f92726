"""Whether a champion still holds: drift, and decisions seen again in hindsight."""
