"""The version of this package; `setup.py` reads it too."""

__version__ = "1.0.0"
