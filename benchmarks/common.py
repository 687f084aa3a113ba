"""What every benchmark reports about the machine, and where its results go."""

import json
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def machine():
    """Return a few facts about this machine and the versions in use."""
    from importlib.metadata import version

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "machine": {"cpu": model, "cores": os.cpu_count(), "load": [round(value, 2) for value in os.getloadavg()]},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "tensorflow", "keras")},
        },
    }


def write_results(name, results):
    """Write ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"written: benchmarks/results/{name}.json")


def write_between(path, mark, lines):
    """Put lines between ``<!-- begin: MARK -->`` and ``<!-- end: MARK -->`` of a page."""
    begin, end = f"<!-- begin: {mark} -->\n", f"<!-- end: {mark} -->"
    before, rest = path.read_text(encoding="utf-8").split(begin)
    text = "\n".join(lines)
    path.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")
