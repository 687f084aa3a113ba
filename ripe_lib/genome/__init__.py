"""Text files about genomes in, codes of windows out; :func:`ripe_lib.genome.windows.make_windows` is the one path."""
