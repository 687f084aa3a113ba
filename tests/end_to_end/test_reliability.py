"""Every command under every fault: one line or the right bytes, and the page that says so."""

import pytest

from tests.support.faults import COMMANDS, FAULTS, ROOT, WAYS, Lab, cells_of, fuzzed, table

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]
PAGE = ROOT / "docs" / "reliability.md"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_disturbed(lab, command, fault):
    assert cells_of(PAGE)[command, fault] in (WAYS[fault](lab, command), "not run")


def test_the_page_is_that_of_the_script():
    cells = cells_of(PAGE)
    assert set(cells) == {(command, fault) for command in COMMANDS for fault in FAULTS}
    assert table(cells) + fuzzed(PAGE) == PAGE.read_text()
    assert "**wrong**" not in cells.values()
