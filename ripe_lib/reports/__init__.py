"""The self-contained HTML pages of the commands, one module each; :mod:`ripe_lib.html_report` is what they share."""
