"""Which bases and region types made the model say so."""
