"""Named errors. Every message says what was given, what was needed and what to do."""


class LnnEdgeError(Exception):
    """Root of all errors that a user may see; the command line prints them as one line."""


class DataError(LnnEdgeError):
    """A recording, annotation or data set cannot be used."""


class GraphError(LnnEdgeError):
    """A quantized graph is malformed, damaged, too new, or fails a proof."""


class QuantizationError(LnnEdgeError):
    """A float model cannot be turned into integers."""


class BoardError(LnnEdgeError):
    """A board description is wrong or unknown, or a board is absent."""


class BuildError(LnnEdgeError):
    """Firmware or host code does not build."""


class LinkError(LnnEdgeError):
    """The serial link or the device at its end failed."""


class VerificationError(LnnEdgeError):
    """A verification could not be carried out."""


class MissingToolError(LnnEdgeError):
    """A program or package is not installed."""


class UsageError(LnnEdgeError):
    """The request itself makes no sense."""


class LayerError(UsageError):
    """A module holds something that has no place on a device; the message names its line."""
