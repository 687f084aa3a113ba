"""Scanning sequences for binding sites: every position of an RNA, a gene or a chromosome."""
