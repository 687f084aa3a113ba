"""Writing: complete or not there, chunk by chunk, resumable. Knows no biology."""
