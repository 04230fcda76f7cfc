"""Models in ONNX -> tables of layers. Nothing in a file is run, without the package onnx."""
