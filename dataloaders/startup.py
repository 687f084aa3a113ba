"""Lets ``kipoi interpret grad`` and ``ism`` read their arguments; run by a ``.pth`` file that ``ripe register`` writes.

Kipoi 0.8 hands ``--dataloader_args`` over as a list, kipoi-interpret 0.1.2 takes it for text: the two commands raise
before any model is loaded, for every model. When, and only when, kipoi-interpret's command module is imported, its
reading of that argument is replaced (:func:`dataloaders.interpret.mend_commands`). This file runs at the start of
every Python of the environment, so it imports nothing.
"""

import sys

_COMMANDS = "kipoi_interpret.cli"


class _AfterImport:
    """A finder that lets the others find ``kipoi_interpret.cli`` and mends it when it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != _COMMANDS:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                _mend_after_loading(spec.loader)
                return spec
        return None


def _mend_after_loading(loader):
    load = loader.exec_module

    def load_and_mend(module):
        load(module)
        try:
            from dataloaders.interpret import mend_commands
        except ImportError:  # half removed: Kipoi must not stop over it
            return
        mend_commands()

    loader.exec_module = load_and_mend


if _COMMANDS not in sys.modules and not any(type(one).__name__ == "_AfterImport" for one in sys.meta_path):
    sys.meta_path.insert(0, _AfterImport())
