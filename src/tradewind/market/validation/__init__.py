"""Whether bars can be trusted: rules, each with its findings."""
