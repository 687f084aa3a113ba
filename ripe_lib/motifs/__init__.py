"""Motifs that a model has learned: from attribution maps (:func:`find_motifs`) and from its first layer."""

from ripe_lib.motifs.find import Motif, MotifOptions, MotifSearch, find_motifs, motifs_from_maps, search_motifs

__all__ = ["Motif", "MotifOptions", "MotifSearch", "find_motifs", "motifs_from_maps", "search_motifs"]
