"""Which bases and region types made the model say so.

===================  =====================================================================================
module               what it does
===================  =====================================================================================
``compute``          the verbs: integrated gradients, saliency, gradient x input, DeepLIFT, mutagenesis
``maps``             what they return, letters of maps, completeness
``inputs``           windows and baselines as the networks' inputs
``gradients``        compiled gradients along a path
``deeplift_bridge``  the deeplift package in a graph of its own
``methods``          the verbs by name, sites chunk by chunk: what the commands run
``store``            files of maps
===================  =====================================================================================
"""
