"""Error wording, and outputs that are complete or not there."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from ripe_lib.errors import OutputError, RipeError, UnknownNameError, nearest_names, unknown_name
from ripe_lib.output.atomic import (
    atomic_directory,
    atomic_file,
    atomic_files,
    check_filled_folder,
    check_new_folder,
    check_room,
)


def test_nearest_names_ignore_case():
    assert nearest_names("qki", ["PUM2", "QKI", "QKI_PARCLIP"])[0] == "QKI"
    assert nearest_names("zzz", ["PUM2"]) == []


def test_unknown_name_lists_what_there_is_if_nothing_is_near():
    error = unknown_name("task", "zzzz", [f"t{i}" for i in range(20)], "Hint.")
    assert isinstance(error, UnknownNameError)
    assert str(error) == "unknown task 'zzzz'. Known: t0, t1, t2, t3, t4, t5, t6, t7 and 12 more. Hint."
    assert str(unknown_name("task", "x", [])) == "unknown task 'x'. There are none."


def test_every_error_is_a_ripe_error_and_its_builtin():
    assert issubclass(UnknownNameError, RipeError)
    assert issubclass(UnknownNameError, LookupError)
    assert issubclass(OutputError, OSError)


# --- files ---------------------------------------------------------------------------------------------------------


def test_file_appears_only_when_done(tmp_path):
    path = tmp_path / "out.tsv.gz"
    with atomic_file(path) as temporary:
        temporary.write_text("x")
        assert not path.exists()
        assert temporary.name.endswith("out.tsv.gz")  # writers choose their format by the suffix
        assert temporary.parent == path.parent
    assert path.read_text() == "x"
    assert os.listdir(tmp_path) == ["out.tsv.gz"]


def test_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "out.tsv"
    path.write_text("old")

    def fail():
        with atomic_file(path) as temporary:
            temporary.write_text("new")
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.tsv"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("kind", [atomic_file, atomic_directory])
def test_write_failures_are_one_clear_error(tmp_path, number, kind):
    def fail():
        with kind(tmp_path / "out"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(OutputError, match=rf"out: could not be written \({os.strerror(number)}\)"):
        fail()
    assert os.listdir(tmp_path) == []


def test_errors_that_are_not_about_writing_pass(tmp_path):
    def fail():
        with atomic_file(tmp_path / "out"):
            raise FileNotFoundError(errno.ENOENT, "input.bed")

    with pytest.raises(FileNotFoundError, match=r"input.bed"):
        fail()


def test_wrong_places(tmp_path):
    with pytest.raises(OutputError, match="expected a file name, got a folder"), atomic_file(tmp_path):
        pass
    with pytest.raises(OutputError, match="expected an existing folder"), atomic_file(tmp_path / "no" / "out"):
        pass


# --- folders -------------------------------------------------------------------------------------------------------


def write_into(folder: Path, name: str) -> None:
    (folder / name).write_text(name)


def test_folder_appears_only_when_done(tmp_path):
    path = tmp_path / "out"
    with atomic_directory(path) as temporary:
        write_into(temporary, "a")
        assert not path.exists()
    assert os.listdir(path) == ["a"]
    assert os.listdir(tmp_path) == ["out"]


def test_full_folder_is_kept_unless_told(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    write_into(path, "old")
    with pytest.raises(OutputError, match="exists already and is not empty"), atomic_directory(path):
        pass
    with atomic_directory(path, overwrite=True) as temporary:
        write_into(temporary, "new")
    assert os.listdir(path) == ["new"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_be_put_there(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.mkdir()
    write_into(path, "old")
    rename = Path.rename

    def full(self, target):
        if self.suffix == ".part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OutputError, match="could not be written"), atomic_directory(path, overwrite=True) as temporary:
        write_into(temporary, "new")
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["out"]


def test_failure_in_a_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    write_into(path, "old")

    def fail():
        with atomic_directory(path, overwrite=True) as temporary:
            write_into(temporary, "new")
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        fail()
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["out"]


# --- several files into a folder -----------------------------------------------------------------------------------


def test_files_appear_together_beside_what_is_there(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / "a.png").write_text("old")
    with atomic_files(tmp_path) as temporary:
        (temporary / "a.png").write_text("new")
        assert (tmp_path / "a.png").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.png", "mine.txt"]
    assert (tmp_path / "a.png").read_text() == "new"


def test_files_that_cannot_all_be_written_leave_nothing(tmp_path):
    def fail():
        with atomic_files(tmp_path / "new" / "plots") as temporary:
            (temporary / "a.png").write_text("x")
            with atomic_file(temporary / "b.png"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"new/plots/b.png: could not be written \(No space left on device\)"):
        fail()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_completed_is_named_as_it_was_asked_for(tmp_path):
    def fail():
        with atomic_directory(tmp_path / "out") as temporary, atomic_file(temporary / "page.html"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError) as caught:
        fail()
    assert str(caught.value).startswith(f"{tmp_path}/out/page.html: could not be written")
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written_are_refused_before(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"file: expected a folder, got a file"):
        check_filled_folder(tmp_path / "file")
    with pytest.raises(OutputError, match=r"file/x: expected a folder, got a file .*file\."):
        check_filled_folder(tmp_path / "file" / "x")
    with (
        pytest.raises(OutputError, match=r"expected a folder .*file, got a file"),
        atomic_file(tmp_path / "file" / "x"),
    ):
        pass
    check_filled_folder(tmp_path / "new" / "folder")
    with pytest.raises(OutputError, match=r"exists already and is not empty\. Use another\."):
        check_new_folder(tmp_path, hint="Use another.")
    check_new_folder(tmp_path, overwrite=True)
    with pytest.raises(OSError, match="No space left on device"):
        check_room(tmp_path / "file", 1 << 62)
    check_room(tmp_path / "file", 1)
    monkeypatch.setattr("resource.getrlimit", lambda _: (1000, 1000))
    (tmp_path / "file").write_bytes(bytes(600))
    check_room(tmp_path / "file", 400)
    with pytest.raises(OSError, match="File too large"):
        check_room(tmp_path / "file", 401)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
    check_room(tmp_path / "file", 1)  # a file system that does not tell


def test_leftovers_of_killed_processes_are_removed_and_others_stay(tmp_path):
    import subprocess
    import sys

    from ripe_lib.output.atomic import remove_leftovers

    code = (
        "import os, signal, sys\nfrom ripe_lib.output.atomic import atomic_file\n"
        "with atomic_file(sys.argv[1]) as path:\n    path.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for name in ("o.tsv", "o[1].tsv"):
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=False)
    with atomic_file(tmp_path / "o.tsv") as mine:
        mine.write_text("whole")
        assert len(list(tmp_path.iterdir())) == 3
        remove_leftovers(tmp_path / "o.tsv")
        assert mine.is_file()
        remove_leftovers(tmp_path / "o[1].tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["o.tsv"]
