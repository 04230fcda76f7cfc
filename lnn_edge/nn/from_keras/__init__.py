"""Saved Keras models -> tables of layers. Nothing in a file is run, and Keras is not needed."""
