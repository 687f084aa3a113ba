"""Measuring a model on a prepared data set."""
