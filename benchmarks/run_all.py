"""Run every benchmark, one after the other, each in a process of its own: ``make bench``.

Results go to ``benchmarks/results/*.json``; a benchmark that fails is named at the end (exit code 1).
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named benchmarks (default: all), e.g. ``python -m benchmarks.run_all predict variants``."""
    wanted = [f"bench_{name.removeprefix('bench_')}" for name in names]
    known = sorted(path.stem for path in HERE.glob("bench_*.py"))
    if unknown := sorted(set(wanted) - set(known)):
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}. Known: {', '.join(known)}\n")
        return 2
    failed = []
    for name in wanted or known:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
