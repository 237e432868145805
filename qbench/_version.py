"""The one place where the version is written; read by the build and by ``qbench.__version__``."""

__version__ = "0.1.0"
