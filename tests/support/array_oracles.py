"""Slow, obvious versions of what intervals, genome, annotation and windows do, one base at a time."""

import gzip
import re

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
PRECEDENCE = "c35i"


def write_fasta(path, contigs, width=60, newline="\n"):
    """Write contigs (name -> letters) as FASTA and return the path."""
    lines = []
    for name, letters in contigs.items():
        lines.append(f">{name} made for a test")
        lines += [letters[i : i + width] for i in range(0, len(letters), width)]
    path.write_bytes((newline.join(lines) + newline).encode())
    return path


def read_fasta(path):
    contigs, name = {}, None
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            contigs[name] = ""
        else:
            contigs[name] += line
    return contigs


def reverse_complement(letters):
    return "".join(COMPLEMENT[letter] for letter in reversed(letters))


def slow_sequence(contigs, chrom, start, length, strand):
    """Letters of a window, N where the contig or the base is unknown."""
    letters = []
    for position in range(start, start + length):
        inside = 0 <= position < len(contigs[chrom])
        letter = contigs[chrom][position].upper().replace("U", "T") if inside else "N"
        letters.append(letter if letter in "ACGT" else "N")
    return "".join(letters) if strand == "+" else reverse_complement(letters)


def slow_window_start(start, end, length):
    """The window rule of DESIGN.md, word for word."""
    return (start + end - 1) // 2 - (length // 2 - 1)


def read_transcripts(gtf_file):
    """Transcripts of a GTF with ``transcript_type``: chrom, strand, type, and the 0-based bases of exons and cds."""
    opener = gzip.open if str(gtf_file).endswith("gz") else open
    transcripts = {}
    with opener(gtf_file, "rt") as handle:
        for line in handle:
            if line.startswith("#"):
                continue
            chrom, _, feature, start, end, _, strand, _, attributes = line.rstrip("\n").split("\t")
            if feature not in ("exon", "CDS", "stop_codon"):
                continue
            name = re.search('transcript_id "(.*?)"', attributes).group(1)
            kind = re.search('transcript_(?:bio)?type "(.*?)"', attributes).group(1)
            transcript = transcripts.setdefault(
                name, {"chrom": chrom, "strand": strand, "type": kind, "exons": set(), "cds": set()}
            )
            transcript["exons" if feature == "exon" else "cds"] |= set(range(int(start) - 1, int(end)))
    return transcripts


def slow_region_track(transcripts, chrom, strand, types=("protein_coding",)):
    """Region letter of every annotated base of one strand, as a dict from position to one of ``c 3 5 i``."""
    track = {}
    for transcript in transcripts.values():
        if (transcript["chrom"], transcript["strand"]) != (chrom, strand) or transcript["type"] not in types:
            continue
        exons, cds = transcript["exons"], transcript["cds"]
        for position in range(min(exons), max(exons) + 1):
            if position in cds:
                letter = "c"
            elif position not in exons:
                letter = "i"
            elif not cds:
                continue
            elif position < min(cds):
                letter = "5" if strand == "+" else "3"
            elif position > max(cds):
                letter = "3" if strand == "+" else "5"
            else:
                letter = "c"
            if position not in track or PRECEDENCE.index(letter) < PRECEDENCE.index(track[position]):
                track[position] = letter
    return track


def slow_regions(track, start, length, strand):
    """Region letters of a window, 5' to 3'."""
    letters = "".join(track.get(position, "N") for position in range(start, start + length))
    return letters if strand == "+" else letters[::-1]


def gtf_line(chrom, feature, start, end, strand, transcript, *, gene=None, kind="protein_coding", dialect="gencode"):
    """One GTF line for a 0-based, half-open feature."""
    gene = gene or f"G{transcript}"
    word = {"gencode": "type", "ensembl": "biotype"}.get(dialect)
    attributes = f'gene_id "{gene}"; transcript_id "{transcript}"; gene_name "{gene}-name";'
    source = "test"
    if dialect == "old_ensembl":
        source = kind
    elif word:
        attributes += f' gene_{word} "{kind}"; transcript_{word} "{kind}";'
    return f"{chrom}\t{source}\t{feature}\t{start + 1}\t{end}\t.\t{strand}\t.\t{attributes}\n"


def gtf_transcript(chrom, strand, transcript, exons, cds=(), **options):
    """Lines of a whole transcript from 0-based exons and CDS pieces."""
    span = (min(e[0] for e in exons), max(e[1] for e in exons))
    lines = [gtf_line(chrom, "transcript", *span, strand, transcript, **options)]
    lines += [gtf_line(chrom, "exon", *exon, strand, transcript, **options) for exon in exons]
    lines += [gtf_line(chrom, "CDS", *piece, strand, transcript, **options) for piece in cds]
    return "".join(lines)
