"""The commands' common words: what they are called, examples, completion, and mistakes found before TensorFlow."""

import argparse
import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ripe_lib.cli.main import COMMANDS, main
from ripe_lib.output.console import in_new_words
from training.cli.main import COMMANDS as TRAINING

EXAMPLES = Path(__file__).resolve().parents[2] / "dataloaders" / "example_files"
FILES = {"VCF": EXAMPLES / "variants.vcf", "BED": EXAMPLES / "intervals.bed", "FA": EXAMPLES / "genome.fa"}
FILES["GTF"] = EXAMPLES / "genes.gtf"
ABOUT_MODELS = [
    "predict",
    "scan",
    "attribute",
    "motifs",
    "score-variants",
    "mutate",
    "asb",
    "compare-strand",
    "precompute",
    "enrich",
    "evaluate",
]


def parser_of(command):
    module = importlib.import_module(COMMANDS[command][0])
    parser = argparse.ArgumentParser(prog=f"ripe {command}")
    module.add_arguments(parser)
    return parser, module


@pytest.mark.parametrize("command", ABOUT_MODELS)
def test_the_same_words_in_every_command(command):
    parser, module = parser_of(command)
    actions = {name: action for action in parser._actions for name in action.option_strings or [action.dest]}
    positionals = [action.dest for action in parser._actions if not action.option_strings]
    assert positionals[0] in ("model", "models")
    for option in ("--batch-size", "--threads", "--quiet", "--seed", "-o"):
        assert option in actions, option
    assert actions["--batch-size"].dest == "batch_size"
    assert actions["--task"].nargs == "+"
    assert not {"--tasks", "--plot-formats", "--model", "--long"} & set(actions)
    if "--format" in actions:  # the layout of tables, everywhere
        assert "wide" in actions["--format"].choices
    assert not set(getattr(module, "OLD_SPELLINGS", {})) & set(actions)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_shown_and_can_be_parsed(command, capsys):
    parser, module = parser_of(command)
    lines = module.EXAMPLES.replace("\\\n", " ").split("examples:\n")[1].splitlines()
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)
        assert words[:2] == ["ripe", command]
        parser.parse_args(words[2:])
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert module.EXAMPLES.strip() in capsys.readouterr().out


def test_task_is_repeatable():
    parser, _ = parser_of("scan")
    args = parser.parse_args(["m", "rna.fa", "--task", "A", "B", "--task", "C"])
    assert args.task == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("command", "old", "new", "said"),
    [
        ("mutate", "M R --tasks A B --plot-formats svg", "M R --task A B --plot-format svg", 2),
        ("mutate", "M R --plot-formats=svg", "M R --plot-format=svg", 1),
        ("scan", "M F --long -o x", "M F --format long -o x", 1),
        ("attribute", "M B --format png", "M B --plot-format png", 1),
        ("asb", "V --model M --task A", "M V --task A", 1),
        ("score-variants", "V --model=M --fasta F --model N", "M,N V --fasta F", 1),
        ("score-variants", "M V --fasta F", "M V --fasta F", 0),
    ],
)
def test_old_spellings_work_with_a_note(command, old, new, said):
    _, module = parser_of(command)
    words, notes = in_new_words([command, *old.split()], getattr(module, "OLD_SPELLINGS", {}))
    assert words == [command, *new.split()]
    assert len(notes) == said
    assert all(note.startswith("note: --") for note in notes)


def test_an_old_spelling_is_noted_unless_quiet(capsys):
    for quiet in ([], ["--quiet"]):
        assert main(["mutate", "clip31", "chr1:1-2", "--fasta", "no.fa", "--tasks", "x", "-o", "o.tsv", *quiet]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert ("note: --tasks is --task now; the old spelling goes with the next release" in lines) == (not quiet)
        assert lines[-1] == "ripe mutate: error: no.fa: no such file. Check the path."


HEAVY = {"pandas", "scipy", "numba"}
MISTAKES = [
    "predict clip31 no.bed --fasta FA -o o.tsv",
    "predict clip31 BED --fasta no.fa -o o.tsv",
    "predict clip32 BED --fasta FA -o o.tsv",
    "predict clip31 BED --fasta FA --task QKIX -o o.tsv",
    "scan clip31 --chrom chr1 --fasta no.fa -o o.tsv",
    "scan clip31 --chrom chr99 --fasta FA -o o.tsv",
    "scan clip31 --chrom chr1 --fasta FA --task QKIX -o o.tsv",
    "attribute clip31 no.bed --fasta FA --task QKI_PARCLIP -o o.h5",
    "attribute clip31 BED --fasta FA --task QKIX -o o.h5",
    "motifs clip31 no.bed --fasta FA --task QKI_PARCLIP -o motifs",
    "motifs clip31 BED --fasta FA --task QKIX -o motifs",
    "score-variants clip31 no.vcf --fasta FA -o o.tsv",
    "score-variants clip31 VCF --fasta FA --task QKIX -o o.tsv",
    "score-variants clip31,clip32 VCF --fasta FA -o o.tsv",
    "score-variants VCF --model clip32 --fasta FA -o o.tsv",
    "mutate clip31 chr1:1-20 --fasta FA --task QKIX -o o.tsv",
    "mutate clip31 chr99:1-20 --fasta FA -o o.tsv",
    "asb clip31 VCF --fasta FA --task QKIX -o o.tsv",
    "asb clip31 no.vcf --fasta FA --task QKI_PARCLIP -o o.tsv",
    "compare-strand clip31 VCF --fasta FA --gtf no.gtf -o o.tsv",
    "compare-strand clip31 VCF --fasta FA --gtf GTF --task QKIX -o o.tsv",
    "enrich clip31 no.bed --fasta FA --gtf GTF",
    "enrich clip31,clip32 BED --fasta FA --gtf GTF",
    "enrich clip31 BED --fasta FA --gtf GTF --task QKIX",
    "precompute clip31 no.bed --fasta FA -o o.tsv.gz",
    "precompute clip31 BED --fasta FA --task QKIX -o o.tsv.gz",
    "evaluate clip31 no.h5 -o evaluation",
    "evaluate clip31 -o evaluation",
    "evaluate clip31 --positives no.bed --negatives BED --fasta FA -o evaluation",
    "evaluate clip31 --positives BED --negatives BED --fasta FA --task QKIX -o evaluation",
    "tasks clip32",
    "tasks --rbp QKJ",
    "tasks",
]


def test_mistakes_are_found_before_tensorflow_is_loaded(tmp_path):
    """All in one fresh interpreter: neither TensorFlow nor Keras may be there after the last.

    Those that a look at names and paths shows come first, and load no pandas, SciPy or numba either: that is what makes
    the difference between a blink and a second.
    """
    later = [line for line in MISTAKES if "chr99" in line or line.startswith(("tasks", "evaluate clip31 -o"))]
    mistakes = [line for line in MISTAKES if line not in later] + later
    commands = [[str(FILES.get(word, word)) for word in line.split()] for line in mistakes]
    code = (
        "import sys\nfrom ripe_lib.cli.main import main\n"
        f"for number, argv in enumerate({commands!r}):\n"
        "    assert main(argv) == 2, argv\n"
        "    assert not {'tensorflow', 'keras'} & set(sys.modules), argv\n"
        f"    assert number >= {len(mistakes) - len(later)} or not {HEAVY} & set(sys.modules), argv\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert len(lines) == len(mistakes)
    for command, line in zip(mistakes, lines, strict=True):
        assert line.startswith(f"ripe {command.split()[0]}: error: "), line
        assert line.endswith((".", "?")) or "ripe " in line.rsplit(": ", 1)[0], line
        assert not {", .", "?.", "...."} & {line[at : at + n] for at in range(len(line)) for n in (2, 3, 4)}, line
    assert os.listdir(tmp_path) == []


def test_an_unknown_command_is_one_tidy_line(capsys):
    for word, told in (("zzzz", "Known: models, tasks, register, "), ("predct", "Did you mean 'predict'")):
        with pytest.raises(SystemExit, match="2"):
            main([word])
        shown = capsys.readouterr().err
        assert told in shown
        assert shown.endswith(" See: ripe --help\n")
        assert ", ." not in shown
        assert "?." not in shown


@pytest.mark.parametrize("commands", [COMMANDS, TRAINING])
def test_every_command_has_one_line_of_help(commands):
    assert all(text and len(text) < 80 for _, text in commands.values())


def completions(line):
    pytest.importorskip("argcomplete")
    code = "import sys; from ripe_lib.cli.main import main; main([])"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": os.devnull,
    }
    read, write = os.pipe()
    environment["_ARGCOMPLETE_STDOUT_FILENAME"] = f"/dev/fd/{write}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, pass_fds=[write], capture_output=True, check=False
    )
    os.close(write)
    with os.fdopen(read) as handle:
        text = handle.read()
    assert done.returncode == 0, done.stderr
    return text.split("\n")


def test_tab_completion():
    assert completions("ripe score-v") == ["score-variants"]
    assert completions("ripe predict parclip_h") == ["parclip_high", "parclip_high_paper"]
    assert completions("ripe mutate clip31 --plot-f") == ["--plot-format"]
    assert {"QKI_PARCLIP"} == set(completions("ripe mutate clip31 chr1:1-2 --task QKI_P"))


# --- tasks ---------------------------------------------------------------------------------------------------------


def test_tasks_of_a_protein(capsys):
    assert main(["tasks", "--rbp", "qki"]) == 0
    lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert lines[0].split() == ["model", "task", "rbp", "protocol", "cell_line", "n_pos", "auroc", "ap", "status"]
    models = [line.split()[0] for line in lines[1:]]
    assert {"DeepRiPe/clip31", "DeepRiPe/parclip_low"} <= set(models)
    assert all(line.split()[2] == "QKI" for line in lines[1:])
    assert main(["tasks", "clip31", "--rbp", "QKI"]) == 0
    assert capsys.readouterr().out.split("\n\n")[0].count("DeepRiPe/clip31 ") == 1
    assert main(["tasks", "--rbp", "QKJ"]) == 2
    assert "unknown protein 'QKJ'. Did you mean 'QKI'" in capsys.readouterr().err
