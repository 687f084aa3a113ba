"""Genomic intervals as Kipoi samples, over :mod:`ripe_lib.genome.windows`.

The classes are Kipoi datasets whose batches are made whole, as arrays: Kipoi's loader hands out row numbers, and
:meth:`_Intervals.batch` takes the place of stacking samples. They differ in their arguments; the YAML that Kipoi reads
in their docstrings is written from these.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kipoi.data import Dataset, kipoi_dataloader
from kipoi.metadata import GenomicRanges
from kipoi_utils.external.torch.data import DataLoader

from dataloaders import veff
from ripe_lib.errors import InputError
from ripe_lib.genome.windows import WindowMaker, window_start

EXAMPLE_FILES = Path(__file__).resolve().parent / "example_files"
EXAMPLES = {"intervals_file": "intervals.bed", "fasta_file": "genome.fa", "gtf_file": "genes.gtf"}


class _Lengths(NamedTuple):
    sequence_length: int
    region_length: int = 0
    landmark_bases: int = 0


class _Intervals(Dataset):
    """What both loaders share; Kipoi wants ``__init__`` and its YAML in each class."""

    postprocessing = veff.dataloader_postprocessing()

    def _open(self, intervals_file: str, fasta_file: str, gtf_file: str | None, lengths: _Lengths) -> None:
        """Check everything at once: nothing about the intervals can fail after the first batch was written."""
        for name, length in lengths._asdict().items():
            if not isinstance(length, int | np.integer) or length < 0 or length % 2:
                raise InputError(f"{name}: expected an even number, got {length!r}.")
        self._lengths = lengths
        # Absolute, because Kipoi changes the working directory now and then.
        self._files = [None if name is None else os.fspath(Path(name).resolve()) for name in (fasta_file, gtf_file)]
        self._maker = WindowMaker(lengths, fasta_file, gtf_file)
        self._process = os.getpid()
        self.intervals = self._maker.prepare(intervals_file)
        if self.intervals.empty:  # stock commands cannot write a table of no batch
            raise InputError(f"{intervals_file}: expected at least one interval, got none.")
        names = self.intervals["name"].to_numpy(dtype=str)
        self._names = np.where(names == ".", np.arange(len(names)).astype(str), names)

    @property
    def maker(self) -> WindowMaker:
        """The window maker; a worker process opens the files for itself."""
        if self._process != os.getpid():
            self._maker = WindowMaker(self._lengths, *self._files)
            self._process = os.getpid()
        return self._maker

    def __len__(self) -> int:
        return len(self.intervals)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample, without the batch axis."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        batch = self.batch([index % len(self)])
        ranges = {key: value[0] for key, value in batch["metadata"]["ranges"].items()}
        return {
            "inputs": {name: array[0] for name, array in batch["inputs"].items()},
            "metadata": {"ranges": GenomicRanges.from_dict(ranges)},
        }

    def batch(self, rows: list[int]) -> dict[str, Any]:
        """Return the samples of some rows (a list of numbers) as one batch of arrays."""
        windows = self.maker.windows(self.intervals.iloc[rows])
        frame = windows.intervals
        start = window_start(frame["start"].to_numpy(), frame["end"].to_numpy(), self._lengths.sequence_length)
        ranges = GenomicRanges(
            chr=frame["chrom"].to_numpy(dtype=str),
            start=start,
            end=start + self._lengths.sequence_length,
            id=self._names[rows],
            strand=frame["strand"].to_numpy(dtype=str),
        )
        return {"inputs": windows.inputs(), "metadata": {"ranges": ranges}}

    def _batch_iterable(
        self, batch_size: int = 32, shuffle: bool = False, num_workers: int = 0, drop_last: bool = False, **_: Any
    ) -> DataLoader:
        """Return an iterable over batches that can be run through again; Kipoi's ``batch_iter`` is made of it.

        The order of ``shuffle`` is another one each time. ``num_workers`` of 0 makes batches in this process, which is
        fast; more make whole batches in as many other processes.
        """
        if batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, got {batch_size}.")
        options = {"shuffle": shuffle, "num_workers": num_workers, "drop_last": drop_last}
        return DataLoader(range(len(self)), batch_size, collate_fn=self.batch, **options)


DESCRIPTION = """\
defined_as: dataloaders.{name}
info:
  doc: >
    {doc}
  authors:
    - name: DeepRiPe developers
  license: MIT
  version: "1"
args:
  intervals_file:
    doc: >
      BED3, BED6 or more columns (narrowPeak), plain or gzip. The strand is column 6; where it is missing or '.',
      that of the overlapping transcript in gtf_file, else plus.
  fasta_file:
    doc: >
      Genome FASTA, plain or bgzip. Contigs match with and without 'chr'.
  gtf_file:
    doc: >
      Gene annotation GTF (GENCODE or Ensembl), plain or gzip{gtf}
{arguments}
output_schema:
  inputs:
{inputs}
  metadata:
    ranges:
      type: GenomicRanges
      doc: The sequence window with its strand; id is the interval's name or row number
dependencies:
  pip:
    - kipoi>=0.8.6,<0.9
    - numpy>=1.26,<2
    - pandas>=2.0,<3
"""
# Argument of a loader -> what it is, and the input it brings.
INPUTS = {
    "sequence_length": (
        "Length of the sequence window",
        """\
    seq:
      shape: (None, 4)
      doc: One-hot sequence, channels A C G T(U), 5' to 3'
      special_type: DNASeq
      associated_metadata: ranges""",
    ),
    "region_length": (
        "Length of the region-type window",
        """\
    region:
      shape: (None, 4)
      doc: One-hot region types, channels intron, CDS, 3'UTR, 5'UTR, in the direction of the sequence""",
    ),
    "landmark_bases": (
        "Functions of the spline basis of distances",
        """\
    landmarks:
      shape: (8, None)
      doc: >
        Signed distances to tss, polya, exon_intron, intron_exon, start_codon, stop_codon, gene_start and gene_end,
        each a row of a spline basis that sums to 1""",
    ),
}


def _loader(doc: str, gtf: str) -> Callable[[type], type]:
    """Describe a class to Kipoi: what it gives, and what the annotation is for."""

    def described(loader: type) -> type:
        known = {name: INPUTS[name] for name in inspect.signature(loader).parameters if name in INPUTS}
        loader.__doc__ = DESCRIPTION.format(
            name=loader.__name__,
            doc=doc,
            gtf=gtf,
            arguments="\n".join(
                f"  {name}:\n    type: int\n    doc: {what}; set by the model." for name, (what, _) in known.items()
            ),
            inputs="\n".join(schema for _, schema in known.values()),
        )
        loader = kipoi_dataloader()(loader)
        for name, file in EXAMPLES.items():  # absolute: Kipoi reads them from wherever the model's folder is
            loader.args[name].example = str(EXAMPLE_FILES / file)  # type: ignore[attr-defined]
        return loader

    return described


@_loader(
    "Sequence and region-type windows of genomic intervals, in RNA sense. The windows are centred on the intervals; "
    "unknown bases and positions off the contig are 0.25 in each channel, so are region types without information.",
    gtf=". Without it region types are unknown (0.25).",
)
class RnaIntervals(_Intervals):
    """Of models with sequence and region types."""

    def __init__(
        self,
        intervals_file: str,
        fasta_file: str,
        gtf_file: str | None = None,
        sequence_length: int = 150,
        region_length: int = 250,
    ):
        self._open(intervals_file, fasta_file, gtf_file, _Lengths(sequence_length, region_length))


@_loader(
    "Sequence and region-type windows of genomic intervals, in RNA sense, and their distances to transcript landmarks "
    "in a spline basis. The windows are centred on the intervals; unknown bases and positions off the contig are 0.25 "
    "in each channel, so are region types without information; unknown distances are 1/K in each.",
    gtf=". Without it region types and landmarks are unknown.",
)
class RnaSites(_Intervals):
    """Of models with sequence, region types and landmarks."""

    def __init__(
        self,
        intervals_file: str,
        fasta_file: str,
        gtf_file: str | None = None,
        sequence_length: int = 150,
        region_length: int = 250,
        landmark_bases: int = 16,
    ):
        self._open(intervals_file, fasta_file, gtf_file, _Lengths(sequence_length, region_length, landmark_bases))


@_loader(
    "Sequence windows of genomic intervals in RNA sense, for models without region types. The windows are centred on "
    "the intervals; unknown bases and positions off the contig are 0.25 in each channel.",
    gtf="; used for the strand of intervals without one.",
)
class RnaSequences(_Intervals):
    """Of models with the sequence alone."""

    def __init__(self, intervals_file: str, fasta_file: str, gtf_file: str | None = None, sequence_length: int = 150):
        self._open(intervals_file, fasta_file, gtf_file, _Lengths(sequence_length))
