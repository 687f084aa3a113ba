"""Motifs that a model has learned: from attribution maps (``find``) and from its first layer (``filters``)."""
