"""The quantized graph: a pipeline with a name and a meaning. The product of the toolchain.

Simulator, passes, planner, code generator and exporters read this and nothing else; no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lnn_edge.errors import GraphError
from lnn_edge.files.names import check_model_name
from lnn_edge.graph.contract import Contract, contract_of
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.output import Output, OutputKind, check_outputs
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.reference import Reference


@dataclass(frozen=True)
class QGraph(Pipeline):
    """A model: stages joined by rings, plus what a user of its outputs must know.

    Attributes:
        name: Prefix of every C symbol.
        metadata: JSON values: those of Contract, and where the model comes from.
        heads: The parts of the output vector where it is several outputs; none where it is one.
        reference: Outputs of the model in floating point; no part of the graph's file and hash.
    """

    name: str
    metadata: dict[str, object]
    heads: tuple[Output, ...] = ()
    reference: Reference | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check name, stages, output and what the metadata say of them."""
        check_model_name("graph", self.name)
        super().__post_init__()
        outputs = self.deciding_stage.outputs
        if len(outputs) != 1 or outputs[0].dtype != "int16" or len(outputs[0].shape) != 1:
            raise GraphError(f"{self.name}: the output must be one int16 vector")
        self._check_output(outputs[0])
        contract = self.contract
        check_outputs(self.outputs, self.output, contract.classes, self.frame.size)
        for key, names in (("leads", contract.leads), ("units", contract.units)):
            if len(names) not in (0, self.frame.size):
                raise GraphError(
                    f"metadata: {len(names)} {key} for {self.frame.name} of {self.frame.size} "
                    "elements; name each of them"
                )

    def _check_output(self, output: QTensor) -> None:
        if len(self.heads) == 1:
            raise GraphError(
                f"{self.name}: {self.heads[0].name} is the only output; leave heads out, and it is "
                f"named {output.name}"
            )
        is_mixed = len(set(output.scales)) > 1 and not self.heads
        if is_mixed or set(output.zero_points) != {0}:
            raise GraphError(
                f"{self.name}: the output needs one scale and zero point 0, so that the largest "
                "score is the largest integer; requantize it"
                + (", or name its parts as heads" if is_mixed else "")
            )

    def save(self, path: str | Path) -> None:
        """Write the graph's file, and its reference beside it.

        Raises:
            OSError: A file cannot be written.
        """
        from lnn_edge.graph.file import save_graph

        save_graph(self, Path(path))

    def summary(self) -> str:
        """Return a table of stages, operators and outputs; see graph.summary."""
        from lnn_edge.graph.summary import summary

        return summary(self)

    @cached_property
    def contract(self) -> Contract:
        """What a user of its inputs and outputs must know."""
        return contract_of(self.metadata)

    @property
    def output(self) -> QTensor:
        """The vector that holds all outputs, int16."""
        return self.deciding_stage.outputs[0]

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The parts of that vector, in order; one has the name of the vector."""
        if self.heads:
            return self.heads
        vector = self.output
        kind: OutputKind = "scores" if self.classes else "values"
        return (Output(vector.name, 0, vector.size, vector.scales[0], kind),)

    @property
    def scores(self) -> Output | None:
        """The output whose elements are the classes; None where there are none."""
        return next((o for o in self.outputs if o.kind == "scores"), None)

    @property
    def flaws(self) -> Output | None:
        """The output that says what is wrong with the signal; None where there is none."""
        return next((o for o in self.outputs if o.kind == "flaws"), None)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the scores, from the metadata; none where no output is scores."""
        return self.contract.classes
