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

from ripe_lib.attribution.compute import (
    deeplift,
    gradient_x_input,
    input_gradients,
    integrated_gradients,
    ism,
    saliency,
)
from ripe_lib.attribution.inputs import baseline_inputs, network_inputs, task_list
from ripe_lib.attribution.maps import (
    GAP_FLOOR,
    GAP_FRACTION,
    Attributions,
    CompletenessWarning,
    GapCount,
    is_gap_large,
    ism_letters,
    known_bases,
    letter_scores,
)

__all__ = [
    "GAP_FLOOR",
    "GAP_FRACTION",
    "Attributions",
    "CompletenessWarning",
    "GapCount",
    "baseline_inputs",
    "deeplift",
    "gradient_x_input",
    "input_gradients",
    "integrated_gradients",
    "is_gap_large",
    "ism",
    "ism_letters",
    "known_bases",
    "letter_scores",
    "network_inputs",
    "saliency",
    "task_list",
]
