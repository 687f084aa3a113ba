"""Packaging of DeepRiPe. Tool settings live in ``pyproject.toml``; the version in ``ripe_lib/_version.py``."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = runpy.run_path(str(HERE / "ripe_lib" / "_version.py"))["__version__"]

# Ranges that were seen to resolve together on CPython 3.10, 3.11 and 3.12; constraints.txt
# holds one exact set inside them that the Makefile and CI install.
REQUIRES = [
    # Kipoi and what it needs but does not declare, or cannot run newer versions of.
    "kipoi>=0.8.6,<0.9",
    "kipoiseq>=0.7.1,<0.8",
    # kipoiseq's pyranges needs these two; newer ones have no wheel for CPython 3.10 and would be compiled.
    "ncls<0.0.71; python_version < '3.11'",
    "sorted_nearest<0.0.40; python_version < '3.11'",
    "six",
    "setuptools<81",  # kipoi imports pkg_resources
    "numpy>=1.26,<2",  # kipoi's HDF5 writer uses names NumPy 2 removed
    "pandas>=2.0,<3",
    # The network.
    "tensorflow>=2.16,<2.22",
    "keras>=3.5,<4",
    "h5py>=3.11",
    "numba>=0.59",  # compiled loops of variant scoring; umap-learn needs it too
    # Genomes, annotations, variants, tracks.
    "cyvcf2>=0.31,<0.32",  # 0.32 needs NumPy 2
    "pysam>=0.22",
    "pyBigWig>=0.3.22",
    "pyarrow>=14,<26",  # 26 refuses NumPy 1 at import
    # Metrics, motifs, pictures.
    "scipy>=1.10",
    "scikit-learn>=1.3",
    "umap-learn>=0.5.6",
    "memelite>=0.2",  # Tomtom without the MEME suite
    "matplotlib>=3.8",
    # Plumbing.
    "pooch>=1.8",  # fetching
    "requests>=2.28",
    "jinja2>=3",
    "pyyaml>=6",
    "tqdm>=4.60",
    "argcomplete>=3",
]
EXTRAS = {
    "dask": ["dask>=2024.1", "distributed>=2024.1"],
    "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.27"],
    # What kipoi-veff, kipoi-interpret and concise need at run time. These three themselves
    # declare requirements that no longer install: add them with requirements-kipoi-plugins.txt.
    "kipoi-plugins": [
        "pyvcf3>=1.0.3",
        "pybedtools>=0.9",
        "intervaltree>=3",
        "deepdish>=0.3.7",
        "tables>=3.8",
        "seaborn>=0.13",
        "shapely>=2",
        "future>=0.18",
        "colorlog>=6",
        "deeplift==0.6.13.0",
    ],
}
EXTRAS["dev"] = [
    *EXTRAS["dask"],
    *EXTRAS["kipoi-plugins"],
    "pytest>=8",
    "pytest-xdist>=3",
    "hypothesis>=6",
    "ruff>=0.6",
    "mypy>=1.10",
    "types-PyYAML",
    "types-tqdm",
    "pandas-stubs",
    "psutil",
    "nbclient>=0.10",  # runs the notebooks of examples
    "ipykernel>=6",
    "pyfaidx>=0.8",  # judges the reader of FASTA files
    "logomaker>=0.8.7",  # what benchmarks/bench_pictures.py compares with
]

setup(
    name="deepripe",
    version=VERSION,
    description="DeepRiPe: which RNA-binding proteins bind a site, why, and what a variant changes",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10,<3.13",
    # kipoi_models holds data only (no __init__.py): the bundled models travel as its package data.
    packages=[*find_packages(include=["ripe_lib*", "training*", "dataloaders*"]), "kipoi_models"],
    include_package_data=False,
    package_data={
        "ripe_lib": [
            "reports/assets/*",
            "motifs/*.tsv",
            "network/catalogue/*.tsv",
            "network/catalogue/*.md",
            "kipoi/model-template.yaml",
        ],
        "training": ["configs/*", "configs/*/*", "fetch/*.tsv"],
        "dataloaders": ["example_files/*.*"],
        "kipoi_models": ["DeepRiPe/*/*"],
    },
    exclude_package_data={"": ["*.fai", "*.gzi", "*.ripe-index.npz"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["ripe=ripe_lib.cli.main:main", "ripe-train=training.cli.main:main"],
    },
    classifiers=[
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Bio-Informatics",
    ],
)
