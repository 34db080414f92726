"""What a user asks of a running stack; the one place that gives its logins to the clients.

Modules are imported by name; each imports its heavy parts when they are needed, so that the
command line answers at once.
"""
