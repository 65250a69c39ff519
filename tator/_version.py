"""The version of this package; `setup.py` reads it too."""

__version__ = "2.0.0"
