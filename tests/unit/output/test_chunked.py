import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ripe_lib.errors import InputError, MissingFileError, OutputError
from ripe_lib.output.chunked import (
    Chunk,
    WorkerError,
    fingerprint_of,
    load_once,
    parts_directory,
    remove_parts,
    run_chunks,
)
from tests.support.chunk_work import FailingWork, SquareWork, expensive

REPOSITORY = Path(__file__).resolve().parents[3]


def jobs(n):
    return [Chunk(i, i + 1) for i in range(n)]


def joined(parts):
    return "".join(part.read_text() for part in parts)


SQUARES = "1\n4\n9\n16\n25\n36\n"


def calls(log):
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def test_parts_come_back_in_order_and_are_computed_once(tmp_path):
    log = tmp_path / "log"
    seen = []
    options = {"parts_dir": tmp_path / "p", "fingerprint": "a", "progress": lambda done, n: seen.append((done, n))}
    parts = run_chunks(jobs(6), SquareWork(log), **options)
    assert joined(parts) == SQUARES
    assert calls(log) == [0, 1, 2, 3, 4, 5]
    assert seen == [(k, 6) for k in range(7)]
    assert run_chunks(jobs(6), SquareWork(log), **options) == parts
    assert len(calls(log)) == 6
    assert seen[-1] == (6, 6)
    assert len(seen) == 8


@pytest.mark.parametrize("change", [{"fingerprint": "b"}, {"suffix": ".txt"}])
def test_another_fingerprint_starts_anew(tmp_path, change):
    log = tmp_path / "log"
    options = {"parts_dir": tmp_path / "p", "fingerprint": "a"}
    run_chunks(jobs(3), SquareWork(log), **options)
    parts = run_chunks(jobs(3), SquareWork(log), **{**options, **change})
    assert calls(log) == [0, 1, 2, 0, 1, 2]
    assert all(part.name.endswith(change.get("suffix", "")) for part in parts)
    left = {path.name for path in (tmp_path / "p").iterdir()}
    assert left == {part.name for part in parts} | {"fingerprint.json", "lock"}


def test_another_number_of_chunks_starts_anew(tmp_path):
    log = tmp_path / "log"
    run_chunks(jobs(3), SquareWork(log), parts_dir=tmp_path / "p", fingerprint="a")
    run_chunks(jobs(2), SquareWork(log), parts_dir=tmp_path / "p", fingerprint="a")
    assert calls(log) == [0, 1, 2, 0, 1]


def test_an_error_keeps_what_is_finished(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(InputError, match=r"input\.txt:2: expected something else"):
        run_chunks(jobs(3), FailingWork(), parts_dir=tmp_path / "p", fingerprint="a")
    assert [p.name for p in (tmp_path / "p").glob("*part*")] == ["part-000000"]
    assert joined(run_chunks(jobs(3), SquareWork(log), parts_dir=tmp_path / "p", fingerprint="a")) == "1\n4\n9\n"
    assert calls(log) == [1, 2]


KILLED = """
import sys
from ripe_lib.output.chunked import Chunk, run_chunks
from tests.support.chunk_work import SquareWork
run_chunks([Chunk(i, i + 1) for i in range(6)], SquareWork(sys.argv[1], die_on=3), parts_dir=sys.argv[2],
           fingerprint="a")
"""


def test_kill_and_resume(tmp_path):
    """SIGKILL in the middle: the finished parts are not computed again and the result is the same."""
    log, folder = tmp_path / "log", tmp_path / "p"
    done = subprocess.run([sys.executable, "-c", KILLED, str(log), str(folder)], cwd=REPOSITORY)
    assert done.returncode == -signal.SIGKILL
    assert calls(log) == [0, 1, 2]
    assert sorted(p.name for p in folder.glob("part-*")) == ["part-000000", "part-000001"]
    assert joined(run_chunks(jobs(6), SquareWork(log), parts_dir=folder, fingerprint="a")) == SQUARES
    assert calls(log) == [0, 1, 2, 2, 3, 4, 5]
    assert not list(folder.glob("*.tmp*"))


def test_leftover_halves_are_removed(tmp_path):
    folder = tmp_path / "p"
    run_chunks(jobs(1), SquareWork(tmp_path / "log"), parts_dir=folder, fingerprint="a", suffix=".tsv")
    half = folder / ".part-000001.99-abc.tmp.tsv"
    half.write_text("half")
    run_chunks(jobs(1), SquareWork(tmp_path / "log"), parts_dir=folder, fingerprint="a", suffix=".tsv")
    assert not half.exists()


def test_two_processes_must_not_share_a_folder(tmp_path):
    def nested(chunk, path):
        run_chunks(jobs(1), SquareWork(tmp_path / "log"), parts_dir=tmp_path / "p", fingerprint="a")

    with pytest.raises(OutputError, match="another process is writing these parts"):
        run_chunks(jobs(1), nested, parts_dir=tmp_path / "p", fingerprint="a")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="does not hold parts of a job"):
        run_chunks(jobs(1), SquareWork(tmp_path / "log"), parts_dir=tmp_path, fingerprint="a")
    with pytest.raises(OutputError, match="expected an existing folder"):
        run_chunks(jobs(1), SquareWork(tmp_path / "log"), parts_dir=tmp_path / "no" / "p", fingerprint="a")
    remove_parts(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_remove_parts_takes_only_its_own_files(tmp_path):
    folder = parts_directory(tmp_path / "out.tsv")
    assert folder == tmp_path / ".out.tsv.parts"
    run_chunks(jobs(2), SquareWork(tmp_path / "log"), parts_dir=folder, fingerprint="a")
    (folder / "notes").write_text("mine")
    remove_parts(folder)
    assert [p.name for p in folder.iterdir()] == ["notes"]
    remove_parts(tmp_path / "absent")
    run_chunks(jobs(2), SquareWork(tmp_path / "log"), parts_dir=tmp_path / "q", fingerprint="a")
    remove_parts(tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_chunks_must_be_numbered(tmp_path):
    with pytest.raises(ValueError, match="in order"):
        run_chunks([Chunk(1, 1)], SquareWork(tmp_path / "log"), parts_dir=tmp_path / "p", fingerprint="a")


def test_fingerprint_sees_options_and_files(tmp_path):
    file = tmp_path / "a.fa"
    file.write_text(">a\nA\n")
    os.utime(file, ns=(1, 1))
    base = fingerprint_of({"step": 1, "tasks": ["A", "B"]}, [file, None])
    assert base == fingerprint_of({"tasks": ["A", "B"], "step": 1}, [str(file)])
    assert base != fingerprint_of({"step": 2, "tasks": ["A", "B"]}, [file])
    os.utime(file, ns=(2, 2))
    assert base != fingerprint_of({"step": 1, "tasks": ["A", "B"]}, [file])
    with pytest.raises(MissingFileError, match="no such file"):
        fingerprint_of({}, [tmp_path / "b.fa"])


def test_load_once_per_arguments():
    assert load_once(expensive, 1)[0] is load_once(expensive, 1)[0]
    assert load_once(expensive, 1)[0] is not load_once(expensive, 2)[0]


@pytest.mark.parametrize("scheduler", ["processes:", "processes:0", "processes:two"])
def test_wrong_process_count(tmp_path, scheduler):
    with pytest.raises(InputError, match="processes:N"):
        run_chunks(
            jobs(1), SquareWork(tmp_path / "log"), parts_dir=tmp_path / "p", fingerprint="a", scheduler=scheduler
        )


def test_processes_survive_the_death_of_a_worker(tmp_path):
    log = tmp_path / "log"
    work = SquareWork(log, die_on=3, seconds=0.05)
    parts = run_chunks(jobs(6), work, parts_dir=tmp_path / "p", fingerprint="a", scheduler="processes:2")
    assert joined(parts) == SQUARES
    assert log.with_suffix(".died").exists()
    assert calls(log).count(2) == 2  # the one it died on, again


def test_a_worker_may_die_before_it_has_begun(tmp_path, monkeypatch):
    """While the others start: a pool of ``concurrent.futures`` waits for ever then."""
    from multiprocessing.context import SpawnProcess

    begun = []

    def start_and_kill(process):
        real_start(process)
        begun.append(process)
        if len(begun) <= 2:
            process.kill()
            process.join()

    real_start = SpawnProcess.start
    monkeypatch.setattr(SpawnProcess, "start", start_and_kill)
    work = SquareWork(tmp_path / "log")
    parts = run_chunks(jobs(6), work, parts_dir=tmp_path / "p", fingerprint="a", scheduler="processes:2")
    assert joined(parts) == SQUARES
    assert len(begun) == 4
    assert not any(process.is_alive() for process in begun)


def test_a_chunk_that_always_kills_its_worker_ends_the_job(tmp_path):
    work = SquareWork(tmp_path / "log", die_on=1, die_always=True)
    with pytest.raises(WorkerError, match="died before they finished a part"):
        run_chunks(jobs(1), work, parts_dir=tmp_path / "p", fingerprint="a", scheduler="processes:1")


def test_a_job_without_a_finished_part_leaves_nothing_behind(tmp_path):
    def broken(chunk, path):
        raise InputError("wrong from the start")

    with pytest.raises(InputError, match="wrong from the start"):
        run_chunks(jobs(3), broken, parts_dir=tmp_path / "p", fingerprint="a")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("scheduler", [None, "processes:1"])
def test_no_room_for_parts_names_the_output(tmp_path, monkeypatch, scheduler):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log"
    options = {"parts_dir": parts_directory("out.tsv"), "fingerprint": "a", "scheduler": scheduler}
    with pytest.raises(OutputError, match=r"^out\.tsv: could not be written \(No space left on device\)\. Finished"):
        run_chunks(jobs(3), SquareWork(log, full_on=2), **options)
    assert joined(run_chunks(jobs(3), SquareWork(log), **options)) == "1\n4\n9\n"
    assert calls(log) == [0, 1, 1, 2]


def test_what_cannot_be_read_is_not_blamed_on_the_output(tmp_path):
    def work(chunk, path):
        raise PermissionError(errno.EACCES, "Permission denied", "genome.fa")

    with pytest.raises(PermissionError, match=r"genome\.fa"):
        run_chunks(jobs(1), work, parts_dir=tmp_path / "p", fingerprint="a")


def test_errors_of_worker_processes_reach_the_user(tmp_path):
    with pytest.raises(InputError, match=r"input\.txt:2: expected something else"):
        run_chunks(jobs(6), FailingWork(), parts_dir=tmp_path / "p", fingerprint="a", scheduler="processes:2")


@pytest.mark.slow
def test_dask_survives_the_death_of_a_worker(tmp_path):
    distributed = pytest.importorskip("distributed")
    log = tmp_path / "log"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        address = cluster.scheduler_address
        work = SquareWork(log, die_on=3, seconds=0.05)
        parts = run_chunks(jobs(6), work, parts_dir=tmp_path / "p", fingerprint="a", scheduler=address)
        assert joined(parts) == SQUARES
        assert calls(log).count(2) == 2
        with pytest.raises(InputError, match=r"input\.txt:2: expected something else"):
            run_chunks(jobs(6), FailingWork(), parts_dir=tmp_path / "q", fingerprint="a", scheduler=address)
        always = SquareWork(log, die_on=1, die_always=True)
        with pytest.raises(WorkerError, match="several workers died on the same part"):
            run_chunks(jobs(1), always, parts_dir=tmp_path / "r", fingerprint="a", scheduler=address)


def test_no_scheduler_there(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("ripe_lib.output.chunked.CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match="expected the address of a running dask scheduler"):
        run_chunks(
            jobs(1),
            SquareWork(tmp_path / "l"),
            parts_dir=tmp_path / "p",
            fingerprint="a",
            scheduler="tcp://127.0.0.1:9",
        )
