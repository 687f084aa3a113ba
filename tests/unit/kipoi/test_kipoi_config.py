"""``ripe register``: what it writes, what it leaves alone. Kipoi itself is not needed here."""

import io

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


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


BEFORE = b"# mine\r\nmodel_sources:\n  kipoi: {type: git, remote_url: x, local_path: /y/}\nenv_db_path: /somewhere"


def test_keeps_what_is_there_and_is_idempotent(home, capsys):
    config = home / ".kipoi" / "config.yaml"
    config.parent.mkdir()
    config.write_bytes(BEFORE)
    assert main(["register"]) == 0
    written = files_below(home)
    loaded = yaml.safe_load(config.read_text())
    assert loaded["env_db_path"] == "/somewhere"
    assert loaded["model_sources"]["kipoi"] == {"type": "git", "remote_url": "x", "local_path": "/y/"}
    capsys.readouterr()
    assert main(["register"]) == 0
    assert "nothing to change" in capsys.readouterr().out
    assert files_below(home) == written


REGISTRATIONS = [
    [[]],
    [["--as-default"]],
    [[], ["--as-default"], ["--as-default"]],
    [["--source-name", "one"], ["--source-name", "two", "--as-default"], ["--interpret-hook"]],
]


@pytest.mark.parametrize("words", REGISTRATIONS)
@pytest.mark.parametrize("before", [None, BEFORE])
def test_undo_restores_every_byte(home, capsys, before, words):
    config = home / ".kipoi" / "config.yaml"
    if before is not None:
        config.parent.mkdir()
        config.write_bytes(before)
    as_it_was = files_below(home), sorted(home.rglob("*"))
    for more in words:
        assert main(["register", *more]) == 0
    assert "ripe register --undo" in capsys.readouterr().out
    assert files_below(home) != as_it_was[0]
    assert main(["register", "--undo"]) == 0
    assert (files_below(home), sorted(home.rglob("*"))) == as_it_was
    capsys.readouterr()
    assert main(["register", "--undo"]) == 0
    assert "nothing to undo" in capsys.readouterr().out


def test_undo_keeps_what_others_wrote_in_between(home):
    config = home / ".kipoi" / "config.yaml"
    assert main(["register", "--as-default", "--quiet"]) == 0
    (home / "mine" / "a_model").mkdir()
    loaded = yaml.safe_load(config.read_text())
    loaded["model_sources"]["other"] = {"type": "local", "local_path": "/other"}
    config.write_text(yaml.safe_dump(loaded))
    assert main(["register", "--source-name", "again", "--quiet"]) == 0
    assert main(["register", "--undo", "--quiet"]) == 0
    built_in = kipoi_config.built_in_sources(config.parent)
    assert sources(home) == {**built_in, "other": {"type": "local", "local_path": "/other"}}
    assert (home / "mine" / "a_model").is_dir()  # a user's model is not ours to remove
    assert [path.name for path in config.parent.iterdir()] == ["config.yaml"]


def test_the_default_is_a_copy_that_outlives_the_package(home, tmp_path):
    package = tmp_path / "package"
    (package / "DeepRiPe" / "m").mkdir(parents=True)
    (package / "DeepRiPe" / "m" / "model.yaml").write_text("one")
    config = home / ".kipoi" / "config.yaml"
    kipoi_config.register({"a": package}, config, as_default=package)
    copied = home / ".kipoi" / kipoi_config.COPY_FOLDER
    assert sources(home)["kipoi"] == {"type": "local", "local_path": str(copied)}
    (package / "DeepRiPe" / "m" / "model.yaml").unlink()
    assert (copied / "DeepRiPe" / "m" / "model.yaml").read_text() == "one"
    (package / "DeepRiPe" / "m" / "model.yaml").write_text("two")  # another version is installed
    assert kipoi_config.register({"a": package}, config, as_default=package) == []
    assert (copied / "DeepRiPe" / "m" / "model.yaml").read_text() == "two"
    assert kipoi_config.undo(config)
    assert not (home / ".kipoi").exists()


def test_default_changed_by_hand_in_between_is_what_undo_restores(home, tmp_path):
    config = home / ".kipoi" / "config.yaml"
    (tmp_path / "models").mkdir()
    kipoi_config.register({"a": tmp_path / "models"}, config, as_default=tmp_path / "models")
    loaded = yaml.safe_load(config.read_text())
    mine = {"type": "local", "local_path": "/by/hand"}
    loaded["model_sources"]["kipoi"] = mine
    config.write_text(yaml.safe_dump(loaded))
    kipoi_config.register({"a": tmp_path / "models"}, config, as_default=tmp_path / "models")
    assert kipoi_config.undo(config)
    assert sources(home)["kipoi"] == mine
    assert "a" not in sources(home)


def test_sources_without_a_record_are_taken_out(home):
    assert main(["register", "--quiet"]) == 0
    (home / ".kipoi" / kipoi_config.RECORD_FILE).unlink()
    assert main(["register", "--quiet"]) == 0
    assert main(["register", "--undo", "--quiet"]) == 0
    assert list(sources(home)) == ["kipoi", "github-permalink"]


def test_a_damaged_record_is_one_clear_line(home, capsys):
    assert main(["register", "--quiet"]) == 0
    (home / ".kipoi" / kipoi_config.RECORD_FILE).write_text("{")
    assert main(["register", "--undo"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "is damaged. Remove it" in message


def test_status(home, capsys):
    assert main(["register", "--status"]) == 0
    assert "Nothing is registered" in capsys.readouterr().out
    assert not (home / ".kipoi").exists()
    main(["register", "--as-default", "--interpret-hook", "--quiet"])
    (home / "mine").rmdir()
    before = files_below(home)
    assert main(["register", "--status"]) == 0
    shown = capsys.readouterr().out
    assert f"kipoi: {home / '.kipoi' / kipoi_config.COPY_FOLDER}\n" in shown
    assert f"deepripe-user: {home / 'mine'} (not there)\n" in shown
    assert "Registered by ripe: deepripe, deepripe-user, kipoi" in shown
    assert files_below(home) == before


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
    assert str(kipoi_config.config_path()) == "/tmp/.kipoi/config.yaml"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_startup_file_is_written_only_when_asked_for(home, capsys):
    pytest.importorskip("kipoi_interpret")
    hook = home / "site" / kipoi_config.PLUGIN_HOOK
    for words in ([], ["--no-interpret-hook"], ["--quiet"]):
        assert main(["register", *words]) == 0
        assert not hook.exists()
        assert ("ripe register --interpret-hook" in capsys.readouterr().out) == (not words)
    assert main(["register", "--interpret-hook"]) == 0
    assert f"{hook}: lets `kipoi interpret" in (shown := capsys.readouterr().out)
    assert "remove the file" in shown
    (line,) = hook.read_text().splitlines()
    assert line.startswith("import ")
    assert main(["register", "--interpret-hook"]) == 0
    assert kipoi_config.PLUGIN_HOOK not in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "is_written"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_on_a_terminal_the_startup_file_is_asked_for(home, monkeypatch, answer, is_written):
    pytest.importorskip("kipoi_interpret")
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", Terminal())
    assert main(["register"]) == 0
    assert (home / "site" / kipoi_config.PLUGIN_HOOK).exists() == is_written


def test_environment_that_cannot_be_written_is_left_alone(home, monkeypatch):
    monkeypatch.setattr(kipoi_config.os, "access", lambda path, mode: False)
    assert kipoi_config.interpret_hook() is None


def write_hook(home):
    hook = kipoi_config.interpret_hook()
    kipoi_config.write_interpret_hook(hook, home / "config.yaml")
    return hook


def test_hook_without_the_package_does_nothing(home):
    pytest.importorskip("kipoi_interpret")
    line = write_hook(home).read_text()
    moved = line.replace("startup.py", "moved_away.py")
    exec(moved)  # a line of a .pth file must never raise


def test_hook_that_leads_nowhere_is_written_anew(home):
    pytest.importorskip("kipoi_interpret")
    hook = write_hook(home)
    assert kipoi_config.interpret_hook() is None
    good = hook.read_text()
    hook.write_text(good.replace("startup.py", "moved_away.py"))
    assert write_hook(home) == hook
    assert hook.read_text() == good
