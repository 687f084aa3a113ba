"""From peaks, tables or the authors' files to a data set."""
