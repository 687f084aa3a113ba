"""The ``ripe`` command: each module parses, calls one function of the library, and writes."""
