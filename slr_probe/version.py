"""The version of the package, read from its metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("slr-probe")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0"
