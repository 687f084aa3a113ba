"""Mutations of small files: bytes, lines, columns, encodings, truncation, layers of compression; HDF5 as objects."""

import bz2
import gzip
import io

import h5py
import numpy as np

from ripe_lib.genome.vcf import BGZF_END
from ripe_lib.output.bgzf import bgzf

NUMBERS = (
    *("-1", "0", "1", "+5", "1e2", "1_00", "0x10", "1.0", "1.5", "007", "True", "nan", "inf", "-", "NA", "None", "."),
    *("2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 40, "9" * 5000),
    *("1,000", " 5", "5 ", "\u0663", "\u00b2", "1\u00a0000", "''", '"5"', "1-2", "1E5", "0b1"),
)
TEXTS = (
    *("", " ", ".", "*", "#", "##", '"', "'", ";", ",", "|", "&", "=", "%", "\\", "\\n", "/", "..", "../x", "<b>", ">"),
    *("a b", "a;b", 'say "x"', "chr1", "CHR1", "1", "chrM", "MT", "track", "browser", "\x00", "\x0b", "\x0c", "\x1c"),
    *("\x85", "\u2028", "\ufeff", "\u00e9", "\U0001f9ec", "x" * 300, "x" * 70_000, "region=iii", "+", "-", "N" * 500),
)
LATIN = (b"\xe9", b"\xff", b"\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f", b"caf\xe9")
BYTES = (b"\x00", b"\t", b"\n", b"\r", b"\r\n", b" ", b"\x1a", b"\x7f", b"\xef\xbb\xbf", *LATIN)


def _at(rng, n):
    return int(rng.integers(0, n + 1))


def _pick(rng, choices):
    return choices[int(rng.integers(len(choices)))]


# ------------------------------------------------------------------ bytes


def flip(data, rng):
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def insert(data, rng):
    at = _at(rng, len(data))
    return data[:at] + _pick(rng, BYTES) + data[at:]


def cut_out(data, rng):
    first, last = sorted((_at(rng, len(data)), _at(rng, len(data))))
    return data[:first] + data[min(last, first + 200) :]


def repeat(data, rng):
    first = _at(rng, len(data))
    return data[: first + 100] + data[first:]


def truncate(data, rng):
    return data[: _at(rng, len(data))]


def nothing(data, rng):
    return _pick(rng, (b"", b"\n", b" \n\t\n", b"\r\n", b"#\n", b"\x00", b"\xef\xbb\xbf"))


# ------------------------------------------------------------------ lines and columns


def _lines(change):
    def mutate(data, rng):
        lines = data.split(b"\n")
        change(lines, int(rng.integers(len(lines))), rng)
        return b"\n".join(lines)

    mutate.__name__ = change.__name__
    return mutate


@_lines
def drop_line(lines, at, rng):
    del lines[at : at + int(rng.integers(1, 4))]


@_lines
def double_line(lines, at, rng):
    lines.insert(at, lines[at])


@_lines
def swap_lines(lines, at, rng):
    other = int(rng.integers(len(lines)))
    lines[at], lines[other] = lines[other], lines[at]


@_lines
def new_line(lines, at, rng):
    lines.insert(at, _pick(rng, TEXTS).encode())


@_lines
def foreign_line(lines, at, rng):
    lines[at] = _pick(rng, BYTES) + lines[at]


def _columns(change):
    @_lines
    def mutate(lines, at, rng):
        full = [number for number, line in enumerate(lines) if b"\t" in line or b" " in line]
        at = _pick(rng, full) if full else at
        separator = b"\t" if b"\t" in lines[at] else b" "
        fields = lines[at].split(separator)
        change(fields, int(rng.integers(len(fields))), rng)
        lines[at] = separator.join(fields)

    mutate.__name__ = change.__name__
    return mutate


@_columns
def number_field(fields, at, rng):
    fields[at] = _pick(rng, NUMBERS).encode()


@_columns
def text_field(fields, at, rng):
    fields[at] = _pick(rng, TEXTS).encode()


@_columns
def latin_field(fields, at, rng):
    fields[at] += _pick(rng, LATIN)


@_columns
def drop_field(fields, at, rng):
    del fields[at]


@_columns
def double_field(fields, at, rng):
    fields.insert(at, fields[at])


@_columns
def swap_fields(fields, at, rng):
    other = int(rng.integers(len(fields)))
    fields[at], fields[other] = fields[other], fields[at]


def other_separator(data, rng):
    return data.replace(b"\t", _pick(rng, (b" ", b"  ", b",", b"\t\t", b" \t")), int(rng.integers(1, 50)))


def other_ends(data, rng):
    return data.replace(b"\n", _pick(rng, (b"\r\n", b"\r", b"\n\n", b"\n\r", b"\n \n")), int(rng.integers(1, 50)))


def no_last_end(data, rng):
    return data.rstrip(b"\n")


# ------------------------------------------------------------------ encodings and compression


def byte_order_mark(data, rng):
    return b"\xef\xbb\xbf" + data


def other_encoding(data, rng):
    text = data.decode("latin-1")
    return text.encode(_pick(rng, ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp500")))


def bgzipped(data):
    return bgzf(data) + BGZF_END


def packed(data, rng):
    whole = _pick(rng, (gzip.compress, bgzipped, bz2.compress))(data)
    return _pick(rng, (lambda d, r: d, lambda d, r: d, truncate, flip, cut_out, _trailing, _again))(whole, rng)


def _trailing(data, rng):
    return data + _pick(rng, (b"\x00" * 20, b"rest", data, data[:30]))


def _again(data, rng):
    return gzip.compress(data)


def zeros(data, rng):
    """Text in which a stretch was lost: what a file system leaves after a crash."""
    at = _at(rng, len(data))
    return data[:at] + bytes(int(rng.integers(1, 600))) + data[at:]


BYTE_MUTATIONS = (flip, insert, cut_out, repeat, truncate, zeros)
TEXT_MUTATIONS = (
    *BYTE_MUTATIONS,
    *(nothing, drop_line, double_line, swap_lines, new_line, foreign_line),
    *(number_field, number_field, number_field, text_field, text_field, latin_field),
    *(drop_field, double_field, swap_fields, other_separator, other_ends, no_last_end),
    *(byte_order_mark, other_encoding, packed, packed),
)


def mutated_text(data, rng):
    """Return a text file with one to three mutations."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 2, 3]))):
        data = _pick(rng, TEXT_MUTATIONS)(data, rng)
    return data


# ------------------------------------------------------------------ HDF5

_HUGE = (1 << 40, 1 << 20)


def _objects(handle):
    names = []
    handle.visit(names.append)
    return names or [""]


def _replace(handle, name, make):
    del handle[name]
    make(handle, name)


def _another_value(value, rng):
    values = (
        *(0, -1, 3, 1 << 62, 1.5, np.nan, True, "", "x", "{}", "[]", "[1]", "null", "3", '{"name": 3}', b"\xff\xfe"),
        *(np.zeros(3), np.zeros((0, 4), np.float32), np.array([b"a", b"\xff"]), h5py.Empty("f")),
    )
    if isinstance(value, str) and value[:1] in "[{" and rng.random() < 0.6:
        return mutated_json(value, rng)
    return _pick(rng, values)


def mutated_json(text, rng):
    """Replace one value of a JSON text, wherever it stands."""
    import json
    import re

    spots = [match.span() for match in re.finditer(r'-?\d+(?:\.\d+)?|"[^"]*"|true|false|null|\[|\{', text)]
    spots = spots or [(0, len(text))]
    first, last = _pick(rng, spots)
    new = (*("0", "-1", "1e400", "NaN", "null", "true", '""', "[]", "{}", "[[]]", "1000000000", "2.5"), '"\\ud800"')
    return text[:first] + _pick(rng, (*new, json.dumps(_pick(rng, TEXTS)))) + text[last:]


def hdf5_objects(data, rng):
    """Change one or two objects of an HDF5 file; the file stays HDF5."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as handle:
        for _ in range(int(rng.integers(1, 3))):
            name = _pick(rng, _objects(handle))
            if rng.random() < 0.35 or not name:
                owner = handle[name] if name and rng.random() < 0.5 else handle
                if len(owner.attrs):
                    key = _pick(rng, list(owner.attrs))
                    value = owner.attrs[key]
                    del owner.attrs[key]
                    if rng.random() < 0.9:
                        owner.attrs[key] = _another_value(value, rng)
                continue
            _replace(handle, name, _pick(rng, _REPLACEMENTS)(handle[name], rng))
    return buffer.getvalue()


def _dataset(value, **options):
    return lambda handle, name: handle.create_dataset(name, data=value, **options)


def _shape(old):
    shape = getattr(old, "shape", (3,))
    return (3,) if shape == _HUGE else shape


def _shaped(old, rng):
    shape, kind = getattr(old, "shape", None), getattr(old, "dtype", np.dtype("f4"))
    shape = (3,) if shape is None else shape  # a group, or a dataset without a space
    shapes = ((), (0,), (1,), (0, *shape[1:]), (*shape, 1), shape[1:], shape[::-1], tuple(n + 1 for n in shape))
    return lambda handle, name: handle.create_dataset(name, shape=_pick(rng, shapes), dtype=kind)


def _typed(old, rng):
    value = np.zeros(_shape(old), dtype=_pick(rng, ("i1", "u8", "f8", "S3", "?", "c8", "f2")))
    return _dataset(value)


def _huge(old, rng):
    """Terabytes declared, nothing stored."""
    options = _pick(rng, ({"chunks": True}, {"chunks": (1 << 10, 1 << 10), "compression": "gzip"}))
    return lambda handle, name: handle.create_dataset(name, shape=_HUGE, dtype="f4", **options)


def _outside(old, rng):
    target = _pick(rng, ("/etc/passwd", "other.h5", "../../x.h5", "/dev/zero"))
    return lambda handle, name: handle.__setitem__(name, h5py.ExternalLink(target, "/a"))


def _soft(old, rng):
    return lambda handle, name: handle.__setitem__(name, h5py.SoftLink(_pick(rng, ("/", "/nowhere", f"/{name}"))))


def _stored_elsewhere(old, rng):
    return lambda handle, name: handle.create_dataset(
        name, shape=(4,), dtype="u1", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
    )


def _virtual(old, rng):
    def make(handle, name):
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource("/etc/hostname", "a", shape=(4,))
        handle.create_virtual_dataset(name, layout)

    return make


def _references(old, rng):
    def make(handle, name):
        array = handle.create_dataset(name, shape=(2,), dtype=h5py.ref_dtype)
        array[0] = handle.ref

    return make


def _texts(old, rng):
    return _dataset(_pick(rng, (np.array([b"a", b"\xff"], dtype=object), "text", h5py.Empty("f4"))))


def _compound(old, rng):
    return _dataset(np.zeros(3, dtype=[("a", "i4"), ("b", "f4")]))


def _group(old, rng):
    return lambda handle, name: handle.create_group(name).create_dataset("0", data=np.zeros(2))


def _type(old, rng):
    return lambda handle, name: handle.__setitem__(name, np.dtype("f8"))


def _gone(old, rng):
    return lambda handle, name: None


def _filled(old, rng):
    kind = getattr(old, "dtype", np.dtype("f4"))
    value = _pick(rng, (np.nan, np.inf, 1e38) if kind.kind == "f" else (1, 100, 127))
    with np.errstate(over="ignore"):  # what is too large for its type becomes infinite
        return _dataset(np.full(_shape(old), value, dtype=kind if kind.kind in "iuf" else "f4"))


_REPLACEMENTS = (
    *(_shaped, _shaped, _typed, _huge, _outside, _soft, _stored_elsewhere, _virtual, _references),
    *(_texts, _compound, _group, _type, _gone, _filled, _filled),
)


def mutated_hdf5(data, rng):
    """Return an HDF5 file with changed objects (mostly) or changed bytes."""
    if rng.random() < 0.7:
        return hdf5_objects(data, rng)
    return _pick(rng, BYTE_MUTATIONS)(data, rng)
