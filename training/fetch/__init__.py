"""Public data by accession: genome, annotation, peaks, published models."""
