"""``ripe-train fetch SOURCE -o DIR``."""

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import options

SOURCES = {"genome": "an assembly, e.g. GRCh38", "gencode": "a release, e.g. 45", "encode-eclip": "--cell-line alone"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = options(parser)
    add("source SOURCE", "genome, gencode or encode-eclip")
    add("name NAME", "GRCh38 or GRCh37; a release: 45, or 45lift37", nargs="?")
    add("-o --out DIR", "folder for the files and sources.tsv", required=True)
    add("--cell-line NAME", "of encode-eclip: K562, HepG2", nargs="+")
    add("--assembly NAME", "of encode-eclip: GRCh38 (default), GRCh37", default="GRCh38")
    add("--rbp NAME", "of encode-eclip: these proteins (default: all)", nargs="+")
    add("--mirror URL|DIR", "a server or folder with the same paths", default="")
    add("--dry-run", "list the files and their sizes, fetch nothing")
    add("--quiet", "no progress bar and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Fetch files; those that are there already are kept."""
    from ripe_lib.errors import InputError, check_known
    from ripe_lib.output.atomic import atomic_file
    from ripe_lib.output.console import counter, note
    from training.fetch import sources
    from training.fetch.fetch import fetch_files, sizes

    folder = Path(args.out)
    check_known("source", args.source, SOURCES)
    given = args.cell_line if args.source == "encode-eclip" else args.name
    if not given or (args.source == "encode-eclip") != (args.name is None):
        raise InputError(f"fetch {args.source}: expected {SOURCES[args.source]}. See: ripe-train fetch --help")
    if args.source == "genome":
        files = sources.genome(args.name, mirror=args.mirror)
    elif args.source == "gencode":
        files = sources.gencode(args.name, mirror=args.mirror)
    else:
        files = sources.encode_eclip(args.cell_line, args.assembly, args.rbp, mirror=args.mirror, note=note)
    if args.dry_run:
        for file, n_bytes, here in sizes(files, folder, args.mirror):
            size = "?" if n_bytes is None else str(n_bytes)
            sys.stdout.write(f"{file.name}\t{size}\t{'here' if here else 'to fetch'}\t{file.address}\n")
        return
    with counter(args.source, "B", unit_scale=True) as show:
        fetch_files(files, folder, mirror=args.mirror, progress=show)
    for file in files:
        sys.stdout.write(f"{folder / file.name}\n")
    if args.source == "encode-eclip":
        table = folder / sources.peak_table_name(args.cell_line, args.assembly)
        with atomic_file(table) as temporary:
            sources.write_peak_table(files, temporary)
        sys.stdout.write(f"{table}\n")
