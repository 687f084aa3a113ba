"""Importing this loads what takes long; processes forked after it start at once (nothing has been computed yet)."""

from ripe_lib.network.load import quiet_tensorflow

quiet_tensorflow()
import h5py  # noqa: E402, F401
import keras  # noqa: E402, F401
import matplotlib.figure  # noqa: E402, F401
import pandas  # noqa: E402, F401
