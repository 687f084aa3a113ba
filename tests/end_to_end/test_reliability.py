"""Every command under every fault: one line or the right bytes, and the page that says so."""

import pytest

from tests.support.faults import COMMANDS, FAULTS, ROOT, WAYS, Lab, table

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]
PAGE = ROOT / "docs" / "reliability.md"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    return Lab(folder)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_disturbed(lab, command, fault):
    said = WAYS[fault](lab, command)
    rows = {line.split("|")[1].strip(" `"): line for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    column = 2 + FAULTS.index(fault)
    assert rows[command].split("|")[column].strip() in (said, "not run")


def test_the_page_is_that_of_the_script():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    cells = {
        (row.split("|")[1].strip(" `"), fault): text.strip()
        for row in rows
        for fault, text in zip(FAULTS, row.split("|")[2:-1], strict=True)
    }
    assert table(cells) == PAGE.read_text()
    assert "**wrong**" not in PAGE.read_text()
