"""Windows of both alleles against the slow way: mutate the whole contig, then cut."""

import numpy as np
import pytest

from ripe_lib.genome.alleles import canonical_alleles
from ripe_lib.genome.encoding import decode_region, decode_sequence
from ripe_lib.variants.rows import (
    alternative_region,
    alternative_sequence,
    place_rows,
    reference_codes,
    substituted_position,
)
from tests.support.toy_genome import ToyAnnotation, ToyGenome, cut, rc, records


@pytest.fixture
def world(rng):
    sequence = "".join(rng.choice(list("ACGT"), 400))
    tracks = {("c", s): "".join(rng.choice(list("ic35N"), 40).repeat(10)) for s in "+-"}
    return ToyGenome(c=sequence), ToyAnnotation(tracks)


def random_sites(genome, rng, n=120):
    rows = []
    sequence = genome.sequences["c"]
    for _ in range(n):
        start = int(rng.integers(0, 399))
        removed = int(rng.choice([1, 1, 1, 2, 5, 90]))
        inserted = int(rng.choice([1, 1, 2, 7, 100]))
        ref = sequence[start : start + removed]
        rows.append(("c", start + 1, ref, "".join(rng.choice(list("ACGT"), inserted))))
    found = canonical_alleles(records(*rows), genome)
    assert set(found.status) == {"ok"}
    return on_one_strand(found, rng)


def on_one_strand(found, rng):
    """Rows of alleles, each on a strand by chance."""
    both = place_rows(found, strand="both")
    return both.take(2 * np.arange(len(found)) + rng.integers(0, 2, len(found)))


def mutated_contig(genome, sites, i):
    at, removed, n = int(sites.start[i]), int(sites.n_removed[i]), int(sites.n_inserted[i])
    text = genome.sequences["c"]
    return text[:at] + decode_sequence(sites.inserted[i, :n]) + text[at + removed :]


def mutated_track(track, at, removed, inserted):
    kept = min(removed, inserted)
    extra = inserted - kept
    neighbour = track[at + kept - 1] if at + kept > 0 else "N"
    return track[: at + kept] + neighbour * extra + track[at + removed :]


@pytest.mark.parametrize("length", [20, 60])
@pytest.mark.parametrize("shift", [-2, 0, 1])
def test_windows_equal_those_of_a_mutated_contig(world, rng, length, shift):
    genome, annotation = world
    sites = random_sites(genome, rng)
    ref = reference_codes(genome.fetch, sites, length, shift)
    alt = alternative_sequence(genome.fetch, sites, length, shift)
    ref_region = reference_codes(annotation.region_codes, sites, length, shift)
    alt_region = alternative_region(annotation.region_codes, sites, length, shift)
    for i in range(len(sites.start)):
        at = int(sites.start[i])
        start = at - (length // 2 - 1) + shift
        strand = "-" if sites.minus[i] else "+"
        turn = rc if sites.minus[i] else str
        flip = (lambda s: s[::-1]) if sites.minus[i] else str
        assert decode_sequence(ref[i]) == turn(cut(genome.sequences["c"], start, length))
        assert decode_sequence(alt[i]) == turn(cut(mutated_contig(genome, sites, i), start, length))
        track = annotation.tracks["c", strand]
        assert decode_region(ref_region[i]) == flip(cut(track, start, length))
        changed = mutated_track(track, at, int(sites.n_removed[i]), int(sites.n_inserted[i]))
        assert decode_region(alt_region[i]) == flip(cut(changed, start, length)), i


def test_a_substituted_base_is_where_the_rule_puts_it(world, rng):
    genome, _ = world
    found = canonical_alleles(records(("c", 200, genome.sequences["c"][199], "N")), genome)
    for strand, index in (("+", 74), ("-", 75)):
        sites = place_rows(found, strand=strand)
        window = alternative_sequence(genome.fetch, sites, 150)[0]
        assert list(np.flatnonzero(window == 4)) == [index]
        assert substituted_position(150, sites.minus)[0] == index
        for shift in (-2, -1, 1):
            window = alternative_sequence(genome.fetch, sites, 150, shift)[0]
            assert list(np.flatnonzero(window == 4)) == list(substituted_position(150, sites.minus, shift))


def test_substitutions_keep_the_region_track(world, rng):
    genome, annotation = world
    letters = genome.sequences["c"]
    rows = [("c", p, letters[p - 1 : p + 1], rc(letters[p - 1 : p + 1])[::-1]) for p in range(20, 300, 7)]
    found = canonical_alleles(records(*rows), genome)
    sites = on_one_strand(found, rng)
    reference = reference_codes(annotation.region_codes, sites, 60)
    np.testing.assert_array_equal(alternative_region(annotation.region_codes, sites, 60), reference)
