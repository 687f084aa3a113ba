"""The ``ripe-train`` command."""
