"""The files Kipoi reads: ``model.yaml`` and its configuration. Does not import Kipoi."""
