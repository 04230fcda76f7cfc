"""The quantized graph: a pipeline with a name and a meaning. The product of the toolchain.

Simulator, passes, planner, code generator and exporters read this and nothing else; no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from lnn_edge.errors import GraphError
from lnn_edge.files.names import check_model_name
from lnn_edge.graph.contract import Contract, contract_of
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.pipeline import Pipeline


@dataclass(frozen=True)
class QGraph(Pipeline):
    """A model: stages joined by rings, plus what a user of its outputs must know.

    Attributes:
        name: Prefix of every C symbol.
        metadata: JSON values: those of Contract, and where the model comes from.
    """

    name: str
    metadata: dict[str, object]

    def __post_init__(self) -> None:
        """Check name, stages, output and what the metadata say of them."""
        check_model_name("graph", self.name)
        super().__post_init__()
        outputs = self.deciding_stage.outputs
        if len(outputs) != 1 or outputs[0].dtype != "int16" or len(outputs[0].shape) != 1:
            raise GraphError(f"{self.name}: needed one int16 vector as output")
        if len(set(outputs[0].scales)) > 1 or set(outputs[0].zero_points) != {0}:
            raise GraphError(
                f"{self.name}: the output needs one scale and zero point 0, so that the largest "
                "score is the largest integer; requantize it"
            )
        contract = self.contract
        for key, names, tensor in (
            ("classes", contract.classes, self.output),
            ("leads", contract.leads, self.frame),
            ("units", contract.units, self.frame),
        ):
            if len(names) not in (0, tensor.size):
                raise GraphError(
                    f"metadata: {len(names)} {key} for {tensor.name} of {tensor.size} elements; "
                    "name each of them"
                )

    @property
    def contract(self) -> Contract:
        """What a user of its inputs and outputs must know."""
        return contract_of(self.metadata)

    @property
    def output(self) -> QTensor:
        """The model's output, int16 scores of its classes or values."""
        return self.deciding_stage.outputs[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, from the metadata; none where they are values, not scores."""
        return self.contract.classes
