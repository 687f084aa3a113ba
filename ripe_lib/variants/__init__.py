"""Variant effects on RNA-binding proteins: :mod:`.score` is the door from Python, :mod:`.output` from file to file."""
