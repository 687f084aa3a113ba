"""DeepRiPe models in kipoi-veff2, the variant plugin that replaced kipoi-veff (on GitHub only).

kipoi-veff2 knows a fixed list of model groups and asks each for a window length and a way to turn letters into an
array; it gives the model the bare sequence array, so region types are unknown (0.25), and takes models from the source
named ``kipoi``. :func:`register` adds the group for this process::

    from dataloaders import veff2
    veff2.register("DeepRiPe/parclip_mid")
    from kipoi_veff2 import variant_centered
    config = variant_centered.get_model_config("DeepRiPe/parclip_mid", **veff2.model_config("DeepRiPe/parclip_mid"))
    variant_centered.score_variants(config, "in.vcf", "genome.fa", "out.tsv", scoring_functions)

It reads plus-strand sequence whatever the gene: give ``strand="-"`` for variants in genes on the minus strand.
Several alternatives, strands from a GTF and region types are what ``ripe score-variants`` is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingPackageError

GROUP = "DeepRiPe"


def sequence_transform(strand: str = "+") -> Callable[[str], NDArray[np.float32]]:
    """Return a function from a plus-strand sequence (L letters) to a one-hot array (L, 4) in RNA sense."""
    from ripe_lib.genome.encoding import encode_sequence, one_hot, reverse_complement

    if strand not in {"+", "-"}:
        raise InputError(f"strand: expected '+' or '-', got {strand!r}.")

    def transform(sequence: str) -> NDArray[np.float32]:
        codes = encode_sequence(str(sequence))
        return one_hot(reverse_complement(codes) if strand == "-" else codes)

    return transform


def model_config(model: str, strand: str = "+") -> dict[str, Any]:
    """Return what ``variant_centered.get_model_config`` needs to know about a model."""
    from ripe_lib.network.catalogue.locate import find_model_directory
    from ripe_lib.network.weights import read_weights

    spec, _ = read_weights(find_model_directory(model) / "weights.h5")
    return {"required_sequence_length": spec.sequence_length, "transform": sequence_transform(strand)}


def register(model: str = "DeepRiPe/clip31", strand: str = "+") -> None:
    """Make kipoi-veff2 accept DeepRiPe models in this process.

    The group gets the window length of ``model`` (those of the shipped models are equal); ``strand`` (``"+"`` or
    ``"-"``) is that of the RNA, for all variants.
    """
    try:
        from kipoi_veff2 import variant_centered
    except ImportError as error:
        raise MissingPackageError(
            "kipoi-veff2 is not installed. Install it with: pip install git+https://github.com/kipoi/kipoi-veff2"
        ) from error
    import kipoi

    from ripe_lib.network.catalogue.locate import bundled_models_directory

    variant_centered.MODEL_GROUPS.add(GROUP)
    variant_centered.VARIANT_CENTERED_MODEL_GROUP_CONFIGS[GROUP] = model_config(model, strand)
    # It names no source, so the default one must have the models; here for this process, for good with
    # `ripe register --as-default`.
    source = kipoi.config.get_source("kipoi")
    if getattr(source, "TYPE", None) != "local" or not source._is_component(model, "model"):
        local = {"type": "local", "local_path": str(bundled_models_directory())}
        kipoi.config.add_source("kipoi", local)
