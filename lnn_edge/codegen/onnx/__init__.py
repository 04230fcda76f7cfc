"""A model as ONNX: its integers exactly, one file a stage, and a player for whole recordings."""
