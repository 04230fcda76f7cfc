"""Tests of the virtual board itself, file by file as the package has them."""
