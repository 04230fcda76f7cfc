"""Streaming activity classifier: ConvLSTM2D over the last frames, then a CfC cell, dt = hop."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.data.activity_run import CHANNELS
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import Ranges, range_of, rectified
from lnn_edge.nn.cell import Tap, linear_op
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d, ConvLstm2dConfig
from lnn_edge.tasks.activity.network import AbstractActivityNet, ActivityConfig, LoweredEncoder


@dataclass(frozen=True, kw_only=True)
class HarConvLstmConfig(ActivityConfig):
    """Sizes of the network.

    Attributes:
        filters: Channels of the ConvLSTM2D's state.
        kernel_size: Its frames.
        stride: Its step along the frames.
    """

    filters: int = 12
    kernel_size: int = 7
    stride: int = 2


class HarConvLstmNet(AbstractActivityNet):
    """Activity classifier whose encoder is recurrent itself; see AbstractActivityNet.

    s' = ConvLSTM2D(window as one row, s),  e = ReLU(E s' + d)

    Args:
        config: Sizes.
    """

    def __init__(self, config: HarConvLstmConfig) -> None:
        super().__init__(config)
        form = ConvLstm2dConfig(
            config.filters, (1, config.kernel_size), (1, config.stride), "valid"
        )
        self.convlstm = ConvLstm2d((1, config.window, len(CHANNELS)), form)
        _, frames, filters = self.convlstm.output_shape
        self.embedding = nn.Linear(frames * filters, config.embedding_size)

    def encode(self, window: Tensor, tap: Tap) -> Tensor:
        """Return embeddings (B, T, E) of windows (B, T, frames, 6)."""
        state = self.convlstm.initial_state(len(window))
        s, _ = self.convlstm(window[:, :, None], state, lambda n, v: tap(f"convlstm_{n}", v))
        flat = self.dropout(s.flatten(2))
        return tap("embedding", functional.relu(self.embedding(flat)))

    def lower_encoder(self, window: QTensor, ranges: Ranges) -> LoweredEncoder:
        """Return the encoder in integers."""
        cell = self.convlstm.lower(window, ranges, "convlstm_")
        high = range_of(ranges, "embedding")[1]
        e = rectified("embedding", (self.embedding.out_features,), high)
        embed = linear_op("embed", (self.embedding.weight, self.embedding.bias), cell.output, e)
        return LoweredEncoder((*cell.ops, embed), cell.states, e)
