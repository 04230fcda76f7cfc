"""Operators: integer semantics, one family a file. Adding one adds a line here."""

from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops.biquad import Biquads
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.elementwise import (
    Add,
    Concat,
    GatedSum,
    Mix,
    Requantize,
    Subtract,
    TimeGate,
)
from lnn_edge.graph.ops.leaky import LeakyAverage
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.memory_cell import Gate, Remember
from lnn_edge.graph.ops.normalize import Normalize
from lnn_edge.graph.ops.pool import AveragePool, MaxPool
from lnn_edge.graph.ops.product import Multiply
from lnn_edge.graph.ops.r_peaks import RPeaks
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.ops.signal_quality import SignalQuality
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.stft import StftMagnitude
from lnn_edge.graph.ops.synapse import Synapses
from lnn_edge.graph.ops.template import TemplateDistance
from lnn_edge.graph.ops.unfold import Unfold
from lnn_edge.graph.ops.window import Center, Decimate, MeanAbs, MeanPool

OPERATORS: dict[str, type[AbstractOp]] = {
    op.kind: op
    for op in (
        Add,
        AveragePool,
        Biquads,
        Center,
        Concat,
        Constant,
        Conv1d,
        Conv2d,
        Decay,
        Decimate,
        Gate,
        GatedSum,
        LeakyAverage,
        Linear,
        Loop,
        Lut,
        MaxPool,
        MeanAbs,
        MeanPool,
        Mix,
        Multiply,
        Normalize,
        RPeaks,
        Relax,
        Remember,
        Requantize,
        Scale,
        SignalQuality,
        Slice,
        StftMagnitude,
        Subtract,
        Synapses,
        TemplateDistance,
        TimeGate,
        Unfold,
    )
}
