"""``ripe register``: what it writes, what it leaves alone. Kipoi itself is not needed here."""

import pytest
import yaml

from ripe_lib.cli.main import main
from ripe_lib.errors import InputError
from ripe_lib.kipoi import config as kipoi_config


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RIPE_MODELS_DIR", str(tmp_path / "mine"))
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(kipoi_config, "site_directory", lambda: tmp_path / "site")
    return tmp_path


def sources(home):
    return yaml.safe_load((home / ".kipoi" / "config.yaml").read_text())["model_sources"]


def test_new_config_has_kipois_own_sources_and_ours(home, capsys):
    assert main(["register"]) == 0
    found = sources(home)
    assert list(found) == ["kipoi", "github-permalink", "deepripe", "deepripe-user"]
    assert found["kipoi"]["type"] == "git"
    assert found["deepripe"]["type"] == "local"
    assert found["deepripe"]["local_path"].endswith("kipoi_models")
    assert found["deepripe-user"] == {"type": "local", "local_path": str(home / "mine")}
    assert (home / "mine").is_dir()
    assert "wrote the sources deepripe, deepripe-user" in capsys.readouterr().out


def test_keeps_what_is_there_and_is_idempotent(home, capsys):
    config = home / ".kipoi" / "config.yaml"
    config.parent.mkdir()
    before = "# mine\nmodel_sources:\n  kipoi: {type: git, remote_url: x, local_path: /y/}\nenv_db_path: /somewhere\n"
    config.write_text(before)
    assert main(["register"]) == 0
    written = config.read_text()
    loaded = yaml.safe_load(written)
    assert loaded["env_db_path"] == "/somewhere"
    assert loaded["model_sources"]["kipoi"] == {"type": "git", "remote_url": "x", "local_path": "/y/"}
    assert (config.parent / "config.yaml.before-deepripe").read_text() == before
    capsys.readouterr()
    assert main(["register"]) == 0
    assert "nothing to change" in capsys.readouterr().out
    assert config.read_text() == written
    assert sorted(p.name for p in config.parent.iterdir()) == ["config.yaml", "config.yaml.before-deepripe"]


def test_as_default_and_undo(home, capsys):
    assert main(["register", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    plain = sources(home)
    assert main(["register", "--as-default"]) == 0
    assert "ripe register --undo" in capsys.readouterr().out
    assert sources(home)["kipoi"] == sources(home)["deepripe"]
    assert main(["register", "--as-default"]) == 0  # again: what is replaced must not become what replaces it
    assert main(["register", "--undo"]) == 0
    assert sources(home) == plain
    assert "deepripe_replaced_source" not in (home / ".kipoi" / "config.yaml").read_text()
    capsys.readouterr()
    assert main(["register", "--undo"]) == 0
    assert "nothing to undo" in capsys.readouterr().out


def test_default_of_another_installation_gives_back_the_original(home, tmp_path):
    config = home / ".kipoi" / "config.yaml"
    kipoi_config.register({"a": tmp_path / "old"}, config, as_default=tmp_path / "old")
    original = kipoi_config.built_in_sources(config.parent)["kipoi"]
    kipoi_config.register({"a": tmp_path / "new"}, config, as_default=tmp_path / "new")
    assert sources(home)["kipoi"]["local_path"] == str(tmp_path / "new")
    assert kipoi_config.restore_default(config)
    assert sources(home)["kipoi"] == original
    assert not kipoi_config.restore_default(config)


def test_default_changed_by_hand_in_between_is_what_undo_restores(home, tmp_path):
    config = home / ".kipoi" / "config.yaml"
    kipoi_config.register({"a": tmp_path / "old"}, config, as_default=tmp_path / "old")
    loaded = yaml.safe_load(config.read_text())
    mine = {"type": "local", "local_path": "/by/hand"}
    loaded["model_sources"]["kipoi"] = mine
    config.write_text(yaml.safe_dump(loaded))
    kipoi_config.register({"a": tmp_path / "old"}, config, as_default=tmp_path / "old")
    kipoi_config.restore_default(config)
    assert sources(home)["kipoi"] == mine


def test_every_former_file_is_kept(home):
    main(["register", "--source-name", "one", "--quiet"])
    main(["register", "--source-name", "two", "--quiet"])
    main(["register", "--source-name", "three", "--quiet"])
    names = sorted(p.name for p in (home / ".kipoi").iterdir())
    assert names == ["config.yaml", "config.yaml.before-deepripe", "config.yaml.before-deepripe-2"]
    assert {"one", "two", "three", "three-user"} <= set(sources(home))


def test_linked_config_stays_linked(home, tmp_path):
    real = tmp_path / "dotfiles.yaml"
    real.write_text("model_sources: {}\n")
    (home / ".kipoi").mkdir()
    (home / ".kipoi" / "config.yaml").symlink_to(real)
    assert main(["register", "--quiet"]) == 0
    assert (home / ".kipoi" / "config.yaml").is_symlink()
    assert "deepripe" in yaml.safe_load(real.read_text())["model_sources"]


@pytest.mark.parametrize("name", ["dir", "kipoi", "", "a/b"])
def test_names_kipoi_keeps_for_itself_are_refused(home, name, capsys):
    assert main(["register", "--source-name", name]) == 2
    assert "source" in capsys.readouterr().err
    assert not (home / ".kipoi").exists()


def test_a_source_of_another_kind_is_not_overwritten(home):
    config = home / ".kipoi" / "config.yaml"
    config.parent.mkdir()
    config.write_text("model_sources: {deepripe: {type: git, remote_url: x, local_path: y}}\n")
    before = config.read_text()
    with pytest.raises(InputError, match="no local folder"):
        kipoi_config.register({"deepripe": home}, config)
    assert config.read_text() == before


@pytest.mark.parametrize("text", ["a: [1\n", "just text\n", "model_sources: 3\n", "\x00"])
def test_damaged_config_is_one_clear_line(home, text, capsys):
    config = home / ".kipoi" / "config.yaml"
    config.parent.mkdir()
    config.write_text(text)
    assert main(["register"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(config) in message
    assert config.read_text() == text


def test_home_that_cannot_be_written_is_answered_as_kipoi_does(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    assert str(kipoi_config.kipoi_directory()) == "/tmp/.kipoi"


def test_interpret_commands_are_mended_once_and_said_so(home, capsys):
    pytest.importorskip("kipoi_interpret")
    assert main(["register"]) == 0
    hook = home / "site" / kipoi_config.PLUGIN_HOOK
    assert str(hook) in capsys.readouterr().out
    (line,) = hook.read_text().splitlines()
    assert line.startswith("import ")
    assert main(["register"]) == 0
    assert kipoi_config.PLUGIN_HOOK not in capsys.readouterr().out


def test_environment_that_cannot_be_written_is_left_alone(home, monkeypatch):
    monkeypatch.setattr(kipoi_config.os, "access", lambda path, mode: False)
    assert kipoi_config.mend_interpret_commands() is None
    assert not (home / "site" / kipoi_config.PLUGIN_HOOK).exists()


def test_hook_without_the_package_does_nothing(home, tmp_path):
    pytest.importorskip("kipoi_interpret")
    line = kipoi_config.mend_interpret_commands(home / "site").read_text()
    moved = line.replace("startup.py", "moved_away.py")
    exec(moved)  # a line of a .pth file must never raise


def test_hook_that_leads_nowhere_is_written_anew(home):
    pytest.importorskip("kipoi_interpret")
    hook = kipoi_config.mend_interpret_commands()
    good = hook.read_text()
    hook.write_text(good.replace("startup.py", "moved_away.py"))
    assert kipoi_config.mend_interpret_commands() == hook
    assert hook.read_text() == good
