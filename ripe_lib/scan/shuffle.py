"""Sequence without signals: shuffled with its dinucleotides kept, or drawn with the dinucleotides of human genes."""

from __future__ import annotations

import numpy as np

from ripe_lib.genome.encoding import Codes

# Rows: first base A C G T; columns: second base. Counted in the 114,056 windows without N of
# data/clip31/background.train.tsv.gz (human gene windows, RNA sense, hg19, 101 nt each).
HUMAN_DINUCLEOTIDES = np.array(
    [
        [849_600, 542_638, 822_162, 703_155],
        [795_633, 767_423, 208_991, 857_570],
        [682_108, 628_888, 778_537, 607_148],
        [590_288, 690_732, 886_885, 993_842],
    ]
)


def human_like(length: int, rng: np.random.Generator) -> Codes:
    """Return a random sequence (length,) with the dinucleotide frequencies of human genes (a Markov chain)."""
    steps = np.cumsum(HUMAN_DINUCLEOTIDES / HUMAN_DINUCLEOTIDES.sum(axis=1, keepdims=True), axis=1)[:, :3].tolist()
    starts = HUMAN_DINUCLEOTIDES.sum(axis=1)
    letter = int(rng.choice(4, p=starts / starts.sum()))
    path = []
    for draw in rng.random(length).tolist():
        path.append(letter)
        a, b, c = steps[letter]
        letter = (draw >= a) + (draw >= b) + (draw >= c)
    return np.array(path, dtype=np.uint8)


def shuffle_dinucleotides(codes: Codes, rng: np.random.Generator) -> Codes:
    """Return a random sequence with exactly the same dinucleotide counts, first and last letter.

    Uniform over all such sequences: a random Eulerian path of the graph whose edges are the dinucleotides
    (Altschul and Erikson 1985; the last exits of the letters are drawn as a random tree by Wilson's algorithm).
    Unknown bases (code 4) count as a fifth letter.

    """
    if len(codes) < 3:
        return codes.copy()
    exits = {letter: codes[1:][codes[:-1] == letter].tolist() for letter in np.unique(codes[:-1]).tolist()}
    final = _last_exits(exits, int(codes[-1]), rng)
    queues: dict[int, list[int]] = {}
    for letter, rest in exits.items():
        if letter in final:
            rest.remove(final[letter])
        queues[letter] = rng.permutation(np.array(rest, dtype=np.uint8)).tolist()[::-1]
        if letter in final:
            queues[letter].insert(0, final[letter])
    current = int(codes[0])
    path = [current]
    for _ in range(len(codes) - 1):
        current = queues[current].pop()
        path.append(current)
    return np.array(path, dtype=np.uint8)


def _last_exits(exits: dict[int, list[int]], root: int, rng: np.random.Generator) -> dict[int, int]:
    """Draw, for every letter but the last of the sequence, the exit used last; together they lead to the root."""
    chosen: dict[int, int] = {}
    in_tree = {root}
    for letter in exits:
        walk = letter
        while walk not in in_tree:
            chosen[walk] = exits[walk][rng.integers(len(exits[walk]))]
            walk = chosen[walk]
        walk = letter
        while walk not in in_tree:
            in_tree.add(walk)
            walk = chosen[walk]
    return {letter: chosen[letter] for letter in in_tree if letter != root}
