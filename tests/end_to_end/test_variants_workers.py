"""Variant scoring spread over worker processes, one of which dies on the way (slow)."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

from ripe_lib.variants.format import OutputFormat
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.output import VariantJob, write_scores
from tests.support.toy_models import random_model
from tests.support.variant_files import FASTA, GTF, random_vcf, write_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    return VariantJob(
        vcf_file=str(random_vcf(folder / "in.vcf", 1200)),
        fasta_file=str(FASTA),
        gtf_file=str(GTF),
        models=(str(write_model(random_model(), folder / "toy")),),
        options=VariantOptions(),
        out=OutputFormat.of("x.parquet"),
    )


@pytest.fixture(scope="module")
def alone(job, tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "x.parquet"
    write_scores(job, path, chunk_size=30)
    return pd.read_parquet(path)


def assert_same(path, alone):
    found = pd.read_parquet(path)
    assert list(found.columns) == list(alone.columns)
    assert found.iloc[:, :9].equals(alone.iloc[:, :9])
    # Chunks of other sizes are summed in another order: logits may differ in the sixth decimal.
    np.testing.assert_allclose(found.iloc[:, 9:], alone.iloc[:, 9:], atol=3e-6)


def test_two_processes(tmp_path, job, alone):
    write_scores(job, tmp_path / "x.parquet", chunk_size=30, scheduler="processes:2")
    assert_same(tmp_path / "x.parquet", alone)
    assert os.listdir(tmp_path) == ["x.parquet"]


def test_dask_with_a_worker_killed(tmp_path, job, alone):
    distributed = pytest.importorskip("distributed")
    killed = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        first = cluster.workers[0].process.process.pid

        def kill_when_busy(done, total):
            if done >= 2 and not killed:
                killed.append(first)
                threading.Thread(target=kill, args=(first,)).start()

        def kill(pid):
            time.sleep(0.2)
            os.kill(pid, signal.SIGKILL)

        write_scores(
            job, tmp_path / "x.parquet", chunk_size=30, scheduler=cluster.scheduler_address, progress=kill_when_busy
        )
    assert killed
    assert_same(tmp_path / "x.parquet", alone)
