"""The authors' own weight files: fetched, checked, read without running anything from them."""
