"""Genomes and annotations are opened once per process, but never read from files that were replaced."""

from ripe_lib.scan.sources import open_annotation, open_genome
from tests.support.peak_files import CONTIGS, write_genes, write_genome


def test_a_replaced_file_is_opened_again(tmp_path, rng):
    fasta, gtf = str(write_genome(tmp_path / "genome.fa", rng)), tmp_path / "genes.gtf"
    write_genes(gtf, rng)
    genome, annotation = open_genome(fasta), open_annotation(str(gtf), fasta)
    assert open_genome(fasta) is genome
    assert open_annotation(str(gtf), fasta) is annotation
    (tmp_path / "genome.fa").unlink()
    write_genome(tmp_path / "genome.fa", rng, contigs={**CONTIGS, "chr1": 7_000})
    assert open_genome(fasta).contigs["chr1"] == 7_000
    assert open_annotation(str(gtf), fasta) is not annotation
