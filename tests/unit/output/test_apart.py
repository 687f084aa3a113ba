"""Nothing that is read is written over: every command, every pair of its files, whatever the file is called."""

import argparse
import importlib
import os

import pytest

from ripe_lib.cli.main import COMMANDS as RIPE
from ripe_lib.cli.main import main as ripe
from ripe_lib.errors import OutputError
from ripe_lib.output.atomic import check_apart
from training.cli.main import COMMANDS as TRAIN
from training.cli.main import main as train

NO_FILES = {"models", "tasks", "register", "fetch"}
# They write into a folder that is theirs or new, and refuse any other.
OWN_FOLDER = {"fit", "tiers", "study"}
FILES = {"F", "G", "OUT", "OUT.h5", "BED", "INTERVALS", "VCF", "H5", "FASTA", "FILE", "RNA", "MEME", "DATASET"}
FILES |= {"MODEL", "MODEL[,MODEL]", "DATASET|INTERVALS", "FILE_OR_NAME", "RUN", "CONFIG"}
# Folders to which files are added under names of their own.
ADDED_TO = {"plots"}
COMMANDS = {name: (module, ripe) for name, (module, _) in RIPE.items()} | {
    name: (module, train) for name, (module, _) in TRAIN.items()
}


def parser_of(command):
    module = importlib.import_module(COMMANDS[command][0])
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module, parser


def pairs():
    """(command, argument that is read, argument that is written, whether that is a folder)"""
    for command, (name, _) in COMMANDS.items():
        module = importlib.import_module(name)
        for read in getattr(module, "READS", ()):
            for write in getattr(module, "WRITES", ()):
                yield command, read, write, False
            for write in getattr(module, "REPLACES", ()):
                yield command, read, write, True


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - NO_FILES - OWN_FOLDER))
def test_every_command_says_what_it_reads_and_writes(command):
    module, parser = parser_of(command)
    known = {*module.READS, *getattr(module, "WRITES", ()), *getattr(module, "REPLACES", ()), *ADDED_TO}
    files = {action.dest for action in parser._actions if action.metavar in FILES | {"DIR"}}
    assert files - known == set()
    assert known - {action.dest for action in parser._actions} <= ADDED_TO


def arguments(command, chosen):
    """A command line with all that is required, and ``chosen`` (argument -> path)."""
    _, parser = parser_of(command)
    words = [command]
    for action in parser._actions:
        value = chosen.get(action.dest)
        if action.dest in chosen or action.required:
            words += [*action.option_strings[-1:], value or "x"]
        elif not action.option_strings and any(
            a.dest in chosen for a in parser._actions[parser._actions.index(action) :] if not a.option_strings
        ):
            words.append("x")
    return words


NAMES = {
    "itself": lambda file: file,
    "relative": lambda file: file.parent / ".." / file.parent.name / file.name,
    "link": lambda file: linked(file, os.symlink, "symbolic.x"),
    "hard link": lambda file: linked(file, os.link, "hard.x"),
    # What a file system that knows no case does: one file under two names.
    "other case": lambda file: linked(file, os.link, file.name.swapcase()),
}


def linked(file, link, name):
    link(file, file.with_name(name))
    return file.with_name(name)


@pytest.mark.parametrize(
    ("command", "read", "write", "is_folder", "name"),
    [(*pair, name) for pair in pairs() for name in (("itself", "link") if pair[-1] else NAMES)],
)
def test_output_over_input_is_refused(command, read, write, is_folder, name, tmp_path, capsys):
    folder = tmp_path / "own"
    folder.mkdir()
    file = folder / "input.x"
    file.write_bytes(b"precious")
    if is_folder:
        target = folder if name == "itself" else linked(folder, os.symlink, "folder")
    else:
        target = NAMES[name](file)
    assert COMMANDS[command][1](arguments(command, {read: str(file), write: str(target)})) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert ("can be replaced" if is_folder else "expected another file than those that are read") in told
    assert file.read_bytes() == b"precious"


def test_every_pair_is_there():
    assert len(list(pairs())) > 60


def test_files_of_models_and_tracks(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for name in ("model.yaml", "weights.h5", "scores.tsv"):
        (model / name).write_text("x")
    check_apart([model / "scores.tsv"], [model])
    with pytest.raises(OutputError, match=r"weights\.h5: expected another file than those that are read"):
        check_apart([model / "weights.h5"], [model])
    with pytest.raises(OutputError, match=r"model: expected a folder that can be replaced, but .*, which is read"):
        check_apart([], [model], [model])
    (tmp_path / "x.QKI.plus.bw").write_text("x")
    with pytest.raises(OutputError, match=r"x\.bw: expected another file than those that are read, got .*x\.QKI\.plus"):
        check_apart([tmp_path / "x.bw"], [tmp_path / "x.QKI.plus.bw"])
    check_apart([tmp_path / "x.tsv", tmp_path / "new" / "y.bw"], [tmp_path / "x.QKI.plus.bw", "-", "clip31"])


def test_a_config_names_its_own_inputs(tmp_path, capsys):
    (tmp_path / "genome.fa").write_text(">c\nACGT\n")
    config = tmp_path / "c.yaml"
    peaks = f"{{fasta_file: {tmp_path}/genome.fa, gtf_file: {tmp_path}/g.gtf, table: {tmp_path}/t.tsv}}"
    config.write_text(f"prepare:\n  output: {tmp_path}/genome.fa\n  peaks: {peaks}\n")
    assert train(["prepare", str(config)]) == 2
    assert "genome.fa: expected another file than those that are read" in capsys.readouterr().err
    assert (tmp_path / "genome.fa").read_text() == ">c\nACGT\n"


def written_pairs():
    for command, (name, _) in COMMANDS.items():
        writes = getattr(importlib.import_module(name), "WRITES", ())
        yield from ((command, one, other) for one in writes for other in writes if one < other)


@pytest.mark.parametrize(("command", "one", "other"), sorted(written_pairs()))
def test_no_two_outputs_are_one_file(command, one, other, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("x.tsv")
    for name in ("x.tsv", "../" + tmp_path.name + "/x.tsv", "link"):
        assert COMMANDS[command][1](arguments(command, {one: "x.tsv", other: name})) == 2
        assert "expected every output once, got it 2 times" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["link"]
