"""The version of the package, which every file that it writes names."""

VERSION = "0.1.0"
