"""A small genome with genes on both strands, as files, for the scan tests."""

import numpy as np

GTF = """\
chr1\ttest\ttranscript\t301\t1400\t.\t+\t.\tgene_id "G1.2"; transcript_id "T1.1"; gene_name "QKI"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\texon\t301\t500\t.\t+\t.\tgene_id "G1.2"; transcript_id "T1.1"; gene_name "QKI"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\texon\t801\t1000\t.\t+\t.\tgene_id "G1.2"; transcript_id "T1.1"; gene_name "QKI"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\texon\t1201\t1400\t.\t+\t.\tgene_id "G1.2"; transcript_id "T1.1"; gene_name "QKI"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\tCDS\t401\t500\t.\t+\t0\tgene_id "G1.2"; transcript_id "T1.1"; gene_name "QKI"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\tCDS\t801\t1000\t.\t+\t0\tgene_id "G1.2"; transcript_id "T1.1"; gene_name "QKI"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\tCDS\t1201\t1250\t.\t+\t0\tgene_id "G1.2"; transcript_id "T1.1"; gene_name "QKI"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\ttranscript\t901\t1900\t.\t-\t.\tgene_id "G2"; transcript_id "T2"; gene_name "PUM2"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\texon\t901\t1100\t.\t-\t.\tgene_id "G2"; transcript_id "T2"; gene_name "PUM2"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\texon\t1601\t1900\t.\t-\t.\tgene_id "G2"; transcript_id "T2"; gene_name "PUM2"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\tCDS\t951\t1100\t.\t-\t0\tgene_id "G2"; transcript_id "T2"; gene_name "PUM2"; gene_type "protein_coding"; transcript_type "protein_coding";
chr1\ttest\tCDS\t1601\t1700\t.\t-\t0\tgene_id "G2"; transcript_id "T2"; gene_name "PUM2"; gene_type "protein_coding"; transcript_type "protein_coding";
"""  # noqa: E501


def write_genome(folder, rng):
    """Write ``g.fa`` (chr1 2,137 nt, chr2 90 nt) and ``a.gtf``; return their paths."""
    fasta, gtf = folder / "g.fa", folder / "a.gtf"
    with fasta.open("w") as handle:
        for name, length in (("chr1", 2137), ("chr2", 90)):
            letters = "".join(rng.choice(list("ACGTacgtN"), length, p=[0.2] * 4 + [0.04] * 4 + [0.04]))
            handle.write(f">{name}\n" + "\n".join(letters[i : i + 50] for i in range(0, length, 50)) + "\n")
    gtf.write_text(GTF)
    return str(fasta), str(gtf)


def write_fasta(path, records, *, region=None):
    """Write records {name: letters}; ``region`` {name: letters} becomes header tags."""
    with path.open("w") as handle:
        for name, letters in records.items():
            tag = f" region={region[name]}" if region and name in region else ""
            handle.write(f">{name}{tag}\n{letters}\n")
    return path


def random_rna(rng, length, alphabet="ACGU"):
    return "".join(rng.choice(list(alphabet), length))


def region_letters(rng, length):
    return "".join(np.repeat(rng.choice(list("ic35N"), length // 20 + 1), 20)[:length])
