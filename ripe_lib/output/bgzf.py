"""BGZF: gzip in blocks, which htslib can index; BCF and indexes by htslib itself."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError

_BLOCK = 65_280  # bytes of text per block, as bgzip does
_LEVEL = 2  # half the time of level 4, 5 % larger
_WORTH_REPEATS = 1.15


def bgzf(data: bytes) -> bytes:
    """Compress into BGZF blocks, without the end marker: such pieces can be put one after another."""
    start = data[:_BLOCK]
    # Digits hardly repeat: where looking for repeats gains little, coding single characters takes half the time.
    plain = len(_deflated(start, zlib.Z_HUFFMAN_ONLY)) <= _WORTH_REPEATS * len(_deflated(start))
    strategy = zlib.Z_HUFFMAN_ONLY if plain else zlib.Z_DEFAULT_STRATEGY
    return b"".join(_bgzf_blocks(data, strategy))


def _bgzf_blocks(data: bytes, strategy: int) -> Iterator[bytes]:
    for at in range(0, len(data), _BLOCK):
        piece = data[at : at + _BLOCK]
        packed = _deflated(piece, strategy)
        if len(packed) > 65_000:  # text that cannot be compressed does not fit a block: store it in two
            half = len(piece) // 2
            yield from _bgzf_blocks(piece[:half], strategy)
            yield from _bgzf_blocks(piece[half:], strategy)
            continue
        yield b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(packed) + 25)
        yield packed
        yield struct.pack("<II", zlib.crc32(piece), len(piece))


def _deflated(piece: bytes, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15, zlib.DEF_MEM_LEVEL, strategy)
    return packer.compress(piece) + packer.flush()


def write_index(path: Path, **columns: Any) -> Path | None:
    """Write a tabix index beside a bgzip file, or a BCF's; None if its records are not sorted.

    A contig beyond 512 Mb needs (and gets) a CSI index, as every BCF. ``columns`` are what pysam's ``tabix_index`` has
    to know of a table; by default it is a VCF.
    """
    import pysam
    import pysam.bcftools

    places = [path.with_name(path.name + suffix) for suffix in (".tbi", ".csi")]
    for place in places:
        place.unlink(missing_ok=True)
    before = pysam.set_verbosity(0)
    try:
        if path.suffix.lower() == ".bcf":
            pysam.bcftools.index("-f", str(path))
            return places[1]
        for place in places:
            with suppress(OSError):
                options = {**(columns or {"preset": "vcf"}), "csi": place == places[1]}
                pysam.tabix_index(str(path), force=True, keep_original=True, **options)
                return place
    except pysam.SamtoolsError:
        pass
    finally:
        pysam.set_verbosity(before)
    return None


def convert_to_bcf(vcf: Path, bcf: Path, name: Path) -> None:
    """Write the records of a VCF as BCF; contigs and keys that its header lacks are declared.

    Parameters
    ----------
    vcf, bcf, name : Path
        What is read, what is written, and what messages call that.
    """
    import pysam
    import pysam.bcftools

    before = pysam.set_verbosity(0)
    declared = vcf.with_name(vcf.name + ".declared")
    try:
        with pysam.VariantFile(str(vcf)) as records:
            for _ in records:  # htslib adds to the header what it meets; a BCF has it before the records
                pass
            complete = str(records.header)
        with vcf.open("rb") as text, declared.open("wb") as out:
            out.write(complete.encode())
            out.writelines(line for line in text if not line.startswith(b"#"))
        pysam.bcftools.view("--no-version", "-Ob", "-o", str(bcf), str(declared), catch_stdout=False)
    except (OSError, ValueError, pysam.SamtoolsError) as error:
        raise InputError(
            f"{name}: expected records that BCF can hold (positions below 2^31, UTF-8, values as the header declares "
            "them), got others. Write .vcf.gz instead, or check the input with: bcftools view -Ob"
        ) from error
    finally:
        declared.unlink(missing_ok=True)
        pysam.set_verbosity(before)
