"""Packages that an extra brings, and what to say where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from lnn_edge.errors import MissingToolError

TORCH_IS_MISSING = (
    "training, quantizing and importing need torch, which is not installed; "
    "install it with `pip install 'lnn-edge[train]'`"
)


ONNX_IS_MISSING = (
    "an export to ONNX needs onnx, which is not installed; "
    "install it with `pip install 'lnn-edge[onnx]'`"
)


TFLITE_IS_MISSING = (
    "an export to TFLite needs ai-edge-litert and onnx, which are not installed; "
    "install them with `pip install 'lnn-edge[tflite]'`"
)


def need_torch() -> None:
    """Refuse where torch is not installed.

    Raises:
        MissingToolError: It is not; the message says how to install it.
    """
    if find_spec("torch") is None:
        raise MissingToolError(TORCH_IS_MISSING)


def need_onnx() -> None:
    """Refuse where onnx is not installed.

    Raises:
        MissingToolError: It is not; the message says how to install it.
    """
    if find_spec("onnx") is None:
        raise MissingToolError(ONNX_IS_MISSING)


def need_tflite() -> None:
    """Refuse where what writes and checks TFLite is not installed.

    Raises:
        MissingToolError: It is not; the message says how to install it.
    """
    if any(find_spec(package) is None for package in ("ai_edge_litert", "onnx")):
        raise MissingToolError(TFLITE_IS_MISSING)
