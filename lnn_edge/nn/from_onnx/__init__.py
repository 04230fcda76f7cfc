"""Models in ONNX -> tables of layers. Nothing in a file is run, and the package onnx is not needed."""
