"""What scoring variants can be asked for, and which rows of it are written."""

from __future__ import annotations

from dataclasses import dataclass

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.encoding import REGION_TYPES
from ripe_lib.variants.summary import FIELDS

REGIONS = ("gtf", "none", "both")
MAX_SHIFTS = 32


@dataclass(frozen=True)
class VariantOptions:
    """How variants are scored.

    Attributes
    ----------
    strand : str
        ``auto`` (strands with a transcript of the GTF), ``+``, ``-`` or ``both``.
    region : str
        ``gtf``: region types of each allele; ``none``: no information, as in the paper; ``both``: the first, and
        ``delta_noregion`` of the second.
    intergenic : str
        Under ``auto``, where there is no transcript: ``skip``, ``+``, ``-`` or ``both``.
    shifts : int
        Average over this many windows, which start ``K // 2`` nt before the normal one to ``(K - 1) // 2`` nt after it.
    scores : tuple of str
        ``delta`` (always there: ref, alt, delta, delta_logit), ``class``, ``percentile``.
    delta_threshold, site_threshold : float
        Of ``class``: a smaller or equal |delta| is no change; a higher probability is a site.
    batch_size : int
        Windows per network call.
    """

    strand: str = "auto"
    region: str = "gtf"
    intergenic: str = "skip"
    shifts: int = 1
    scores: tuple[str, ...] = ("delta",)
    delta_threshold: float = 0.1
    site_threshold: float = 0.5
    batch_size: int = 1024

    def __post_init__(self) -> None:
        check_known("region option", self.region, REGIONS)
        for score in self.scores:
            check_known("score", score, ("delta", "class", "percentile"))
        if not isinstance(self.shifts, int) or not 1 <= self.shifts <= MAX_SHIFTS:
            raise InputError(f"shifts: expected a whole number from 1 to {MAX_SHIFTS}, got {self.shifts!r}.")

    @property
    def fields(self) -> list[str]:
        """Columns per task, in order."""
        more = {"delta_noregion"} if self.region == "both" else set()
        wanted = {"ref", "alt", "delta", "delta_logit", *self.scores, *more}
        return [name for name in FIELDS if name in wanted]

    @property
    def offsets(self) -> range:
        """Starts of the windows, in nt after the normal one."""
        return range(-(self.shifts // 2), self.shifts - self.shifts // 2)


@dataclass(frozen=True)
class RowFilter:
    """Which rows are written. Without any filter all are, scored or not; with one, only scored rows that pass.

    Attributes
    ----------
    tasks : tuple of str, optional
        Tasks to write.
    min_delta : float
        The largest |delta| of a row's tasks must be at least this.
    region_types : tuple of str, optional
        Region type of the first changed base (``intron CDS 3UTR 5UTR none``).
    peaks_file : str, optional
        BED of CLIP peaks that must overlap the changed bases, on the same strand if the BED has strands.
    """

    tasks: tuple[str, ...] | None = None
    min_delta: float = 0.0
    region_types: tuple[str, ...] | None = None
    peaks_file: str | None = None

    def __post_init__(self) -> None:
        for name in self.region_types or ():
            check_known("region type", name, (*REGION_TYPES, "none"))
