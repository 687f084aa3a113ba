"""What the kipoi-veff plugin (0.3.1) needs to run on today's Python, on our models.

``python -m kipoi_veff score_variants`` and ``create_mutation_map`` still work in principle; nobody maintains them.
Nothing here happens until kipoi-veff asks a DeepRiPe model for its ``postprocessing``; then :func:`repair` changes
kipoi-veff's own modules and the file writer it uses (never NumPy, PyVCF or Kipoi), once:

1. ``numpy.int``, ``numpy.str`` and ``numpy.object`` are gone since NumPy 1.24; the two modules of kipoi-veff and the
   one of deepdish (which writes mutation maps) that use them get a ``np`` that still has them.
2. PyVCF3's description of an INFO field has a seventh entry; kipoi-veff fills six.
3. kipoi-veff hands the dataloader 150-nt intervals without strand around each variant. Near a contig's end they would
   leave it, and their strand would be that of the whole stretch. For our models the interval is the variant's base,
   which has the same window and the strand of the transcript the variant lies in; other models are not affected.
4. A record on a contig that the FASTA does not have, or beyond its end, would stop the run: ``score_variants`` leaves
   it out, with one warning that counts them.

It scores substitutions only, of several alternatives the first, and ``create_mutation_map`` needs windows without N and
at most 150 of them per batch: ``ripe score-variants`` and ``ripe mutate`` have no such limits.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from ripe_lib.errors import UnknownNameError
from ripe_lib.genome.fasta import Genome

OLD_NUMPY_NAMES = {"int": int, "str": str, "bool": bool, "float": float, "object": object}
SCORES = ("logit", "logit_ref", "logit_alt")


def dataloader_postprocessing() -> dict[str, Any]:
    """Return what kipoi-veff asks a dataloader for: the argument that takes its intervals."""
    return {"variant_effects": SimpleNamespace(bed_input=["intervals_file"])}


def model_postprocessing() -> dict[str, Any]:
    """Return what kipoi-veff asks a model for, repairing kipoi-veff if it is the one that asks."""
    functions: list[Any] = []
    if "kipoi_veff" in sys.modules:
        repair()
        from kipoi_veff.specs import VarEffectFuncType, VarEffectScoringFunctions

        functions = [VarEffectScoringFunctions(name=name, type=VarEffectFuncType(name)) for name in SCORES]
    # diff, ref and alt are always there. Averaging over both strands (use_rc) makes no sense for RNA.
    return {"variant_effects": SimpleNamespace(seq_input=["seq"], use_rc=False, scoring_functions=functions)}


def repair() -> None:
    """Make the loaded kipoi-veff run (see the module's description); calling it again changes nothing."""
    import kipoi_veff
    from kipoi_veff import snv_predict
    from kipoi_veff.utils import dna_reshapers, generic, io, mutators

    for module in (mutators, dna_reshapers):
        _give_old_numpy(module)
    region_of = generic.SnvCenteredRg.__call__
    if region_of.__module__ == __name__:
        return
    for name in ("read_hdf5", "write_hdf5"):
        setattr(generic, name, _with_mended_deepdish(getattr(generic, name)))
    io.VcfWriter._generate_info_field = staticmethod(_info_field)
    kipoi_veff.predict_snvs = snv_predict.predict_snvs = _outside.watching(snv_predict.predict_snvs)

    def narrow_region(self: Any, variant_record: Any) -> dict[str, list[Any]]:
        if not hasattr(self.model_info_extractor.model, "ripe_model"):
            return region_of(self, variant_record)
        # First and last base, counted from 1.
        position = variant_record.POS
        if _outside.skips(variant_record.CHROM, position):
            return {"chrom": [], "start": [], "end": []}
        return {"chrom": [variant_record.CHROM], "start": [position], "end": [position]}

    generic.SnvCenteredRg.__call__ = narrow_region


class _Outside:
    """Which records lie outside the genome of the run that is going on, and how many there were."""

    def __init__(self) -> None:
        self.genome: Any = None
        self.n_skipped = 0

    def skips(self, contig: str, position: int) -> bool:
        """Whether a position (from 1) is on no contig of the genome; nothing is known outside a run."""
        if self.genome is None:
            return False
        try:
            is_outside = not 1 <= position <= self.genome.contigs[self.genome.resolve(contig)]
        except UnknownNameError:
            is_outside = True
        self.n_skipped += is_outside
        return bool(is_outside)

    def watching(self, predict_snvs: Callable[..., Any]) -> Callable[..., Any]:
        """Return kipoi-veff's function, with the genome of its loader's arguments known while it runs."""

        def watched(*arguments: Any, **options: Any) -> Any:
            fasta = (options.get("dataloader_args") or {}).get("fasta_file")
            self.genome, self.n_skipped = (None if fasta is None else Genome(fasta)), 0
            try:
                return predict_snvs(*arguments, **options)
            finally:
                self.genome = None
                if self.n_skipped:
                    message = f"{self.n_skipped} record(s) left out: on no contig of {fasta}, or beyond its end."
                    warnings.warn(message, UserWarning, stacklevel=2)

        return watched


_outside = _Outside()


def _give_old_numpy(module: Any) -> None:
    module.np = types.ModuleType("numpy")
    module.np.__dict__.update(vars(np), **OLD_NUMPY_NAMES)


def _with_mended_deepdish(function: Any) -> Any:
    def mended(*arguments: Any) -> Any:
        from deepdish.io import hdf5io

        _give_old_numpy(hdf5io)
        return function(*arguments)

    return mended


def _info_field(name: str, number: Any, kind: str, description: str, source: Any, version: Any) -> Any:
    import vcf

    # PyVCF has six fields, PyVCF3 a seventh that is unused for INFO lines we add.
    fields = (name, number, kind, description, source, version)
    return vcf.parser._Info(*fields, *[None] * (len(vcf.parser._Info._fields) - len(fields)))
