"""The self-contained HTML pages of the commands, one module each; :mod:`ripe_lib.reports.page` is what they share."""
