"""Snakemake wrapper of ``ripe predict``, ``ripe score-variants`` and ``ripe precompute``.

Input ``intervals`` (predict), ``vcf`` (score-variants) or ``regions`` (precompute), ``fasta`` and, if there is one,
``gtf``; output one file; params ``command``, ``model`` and, for further options, ``extra``; ``log`` and ``threads`` as
always. In Snakemake's wrapper repository this file is ``wrapper.py`` beside an ``environment.yaml`` with ``deepripe``.
"""

import shlex
import subprocess
from pathlib import Path

job = snakemake  # noqa: F821 - Snakemake defines it
main_input = {"predict": "intervals", "score-variants": "vcf", "precompute": "regions"}[job.params.command]
subject, model = str(job.input[main_input]), str(job.params.model)
words = ["ripe", job.params.command, model, subject]
words += ["--fasta", str(job.input.fasta), "-o", str(job.output[0]), "--threads", str(job.threads)]
if gtf := job.input.get("gtf"):
    words += ["--gtf", str(gtf)]
words += shlex.split(job.params.get("extra", ""))
with Path(str(job.log)).open("w", encoding="utf-8") if job.log else Path("/dev/null").open("w") as log:
    subprocess.run(words, check=True, stderr=log)
