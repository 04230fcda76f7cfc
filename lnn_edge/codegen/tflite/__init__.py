"""A model as TFLite: integers of 16 bits, one file a stage, and arrays for TFLite Micro."""
