"""From a finished run to a measured model directory."""
