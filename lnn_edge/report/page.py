"""A report as one HTML page that needs nothing else: no script, no picture, no network."""

from __future__ import annotations

from collections.abc import Iterator

import lnn_edge
from lnn_edge.report.ecg import draw_recording
from lnn_edge.report.facts import BuildFacts, LinkFacts, Prediction, Report
from lnn_edge.report.markup import (
    Html,
    bar,
    cell,
    element,
    heat,
    join,
    paragraph,
    prose,
    table,
    text,
)
from lnn_edge.report.memory_map import draw_region
from lnn_edge.report.motion import draw_run
from lnn_edge.report.style import STYLE
from lnn_edge.report.words import (
    BAD,
    GOOD,
    clock_words,
    cost_sentences,
    count_words,
    how_to_count,
    kilobytes,
    link_words,
    operator_sentence,
    start_words,
    step_words,
    time_words,
    verdict,
)
from lnn_edge.tasks.judged_output import judged_output
from lnn_edge.tasks.metrics.single_label import Evaluation
from lnn_edge.tasks.recordings import chosen_lead

STARTS = ("link", "core clock", "last start by", "flash", "stack never used")
GENERATOR = '<meta name="generator" content="lnn-edge">'


def render(report: Report) -> str:
    """Return the page. Equal reports give equal pages."""
    name = f"{report.project.graph.name} on {report.project.board.title}"
    head = join(
        [
            Html('<meta charset="utf-8">'),
            Html(GENERATOR),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            element("title", {}, text(name)),
            element("style", {}, Html(STYLE)),
        ]
    )
    body = element("body", {}, element("main", {}, *_parts(report)))
    html = element("html", {"lang": "en"}, element("head", {}, head), body)
    return f"<!DOCTYPE html>\n{html}\n"


def _parts(report: Report) -> Iterator[Html]:
    yield from _header(report)
    graph = report.project.graph
    is_shown = bool(report.predictions or report.findings)
    decided = (
        ("Accuracy", _accuracy(report)),
        (report.words.heading if is_shown else "Recordings", _strips(report)),
    )
    is_known = graph.reference is not None and bool(graph.reference.tensors)
    worth = (
        "What the integers are worth",
        [element("pre", {"class": "wide"}, text(graph.summary()))],
    )
    for title, content in (
        ("Verification", _verification(report)),
        ("Outputs", _outputs(report)),
        *(decided if graph.classes else ()),
        *((worth,) if is_known else ()),
        ("Memory", _memory(report)),
        ("Cost of each operator", _operators(report)),
        ("Provenance", _provenance(report)),
    ):
        yield element("section", {}, element("h2", {}, text(title)), *content)


def _header(report: Report) -> Iterator[Html]:
    board = report.project.board
    clock = f"{board.clock.core_hz / 1e6:g} MHz"
    yield element("h1", {}, text(report.project.graph.name))
    yield paragraph(f"{board.title}, {board.mcu.part}, {board.mcu.cpu} at {clock}", "subtitle")
    kind, headline, sentences = verdict(report)
    said = element("strong", {}, text(headline))
    reasons = element("ul", {}, *(element("li", {}, prose(s)) for s in sentences))
    yield element("div", {"class": f"verdict {kind}"}, said, reasons)
    yield element("dl", {"class": "keys"}, *_keys(report))


def _keys(report: Report) -> Iterator[Html]:
    """Yield the figures that people look for first."""
    if report.links:
        steps = sum(link.steps for link in report.links)
        wrong = sum(link.mismatches for link in report.links)
        yield _key("mismatches", f"{wrong:,}", f"in {steps:,} steps on {len(report.links)} links")
    if report.build:
        build = report.build
        yield _key("flash", kilobytes(build.flash_bytes), "code, constants, initial values")
        whole = build.ram_bytes + build.stack_bytes
        yield _key("RAM", kilobytes(whole), f"worst-case stack of {build.stack_bytes:,} included")
    counted = next((x for x in report.links if x.counts), None)
    if counted and counted.counts:
        remark = f"{clock_words(counted)}: {step_words(counted)}"
        yield _key("a step", f"{counted.counts[1]:,}", remark)
    if report.evaluation:
        judged = report.evaluation
        yield _key(
            f"{report.words.unit} right",
            f"{100 * judged.accuracy:.1f} %",
            f"of {judged.n:,} shown below",
        )


def _key(name: str, value: str, remark: str) -> Html:
    shown = element("dd", {}, text(value), element("small", {}, text(remark)))
    return element("div", {}, element("dt", {}, text(name)), shown)


def _verification(report: Report) -> Iterator[Html]:
    if not report.links:
        yield paragraph("This project has not been verified yet.")
        return
    yield paragraph(
        "Each decision is compared with the integer simulator in every bit: window, scores and "
        "state. Recordings start from a reset; inside one nothing is reset."
    )
    columns = (
        "link",
        "counted",
        "of a step",
        "steps",
        "mismatches",
        "longest run",
        "least / median / most per step",
        "time per step",
    )
    yield table("Per link", columns, map(_link_row, report.links), words=3)
    for link in report.links:
        if link.first_mismatch:
            yield paragraph(f"First mismatch on {link_words(link)}: {link.first_mismatch}.")
        for sentence in cost_sentences(link):
            yield paragraph(sentence)
    yield table("How each came up", STARTS, map(_start_row, report.links), words=5)
    if not any(link.clock_source == "dwt" and not link.is_emulated for link in report.links):
        yield paragraph(
            "No board of silicon took part: time and cycles are not measured. Emulated instruction "
            "counts are exact, but say nothing of time.",
            "note",
        )


def _start_row(link: LinkFacts) -> tuple[Html, ...]:
    return (text(link_words(link)), *(cell(words, "word") for words in start_words(link)))


def _link_row(link: LinkFacts) -> tuple[Html, ...]:
    return (
        text(link_words(link)),
        cell(clock_words(link), "word"),
        cell(step_words(link) if link.counts else "nothing", "word"),
        cell(f"{link.steps:,}"),
        cell(f"{link.mismatches:,}", f"number {GOOD if link.is_exact else BAD}"),
        cell(f"{link.longest_run:,}"),
        cell(count_words(link)),
        cell(time_words(link)),
    )


def _outputs(report: Report) -> Iterator[Html]:
    columns = ("output", "kind", "classes", "elements", "real value of a step", "mismatches")
    caption = "Parts of the vector of integers that every decision gives"
    yield table(caption, columns, _output_rows(report), words=3)
    for link in report.links:
        for seen in link.outputs:
            if seen.error:
                yield paragraph(
                    f"{seen.name} on {link_words(link)}, against the float model: {seen.error}."
                )


def _output_rows(report: Report) -> Iterator[tuple[Html, ...]]:
    graph = report.project.graph
    for output in graph.outputs:
        seen = [s for link in report.links for s in link.outputs if s.name == output.name]
        wrong = sum(s.mismatches for s in seen)
        yield (
            text(output.name),
            cell(output.kind, "word"),
            cell(", ".join(graph.classes) if output.kind == "scores" else "", "word"),
            cell(f"{output.first} to {output.end - 1}" if output.size > 1 else output.first),
            cell(f"{output.scale:.6g}"),
            cell(f"{wrong:,}", f"number {BAD if wrong else GOOD}") if seen else cell("not known"),
        )


def _accuracy(report: Report) -> Iterator[Html]:
    judged = report.evaluation
    if report.findings:
        yield paragraph(report.words.choice)
        return
    if judged is None and report.predictions:
        learned = report.project.graph.metadata.get("dataset", "other recordings")
        yield paragraph(
            f"The recordings below are generated and the model learned from {learned}: figures "
            "over them would mean nothing."
        )
        return
    if judged is None:
        classes = ", ".join(judged_output(report.project.graph).classes) or "values"
        lead = chosen_lead(report.project.graph.metadata)
        classes += f" from lead {lead}" if lead else ""
        yield paragraph(
            f"No recordings of this model's task ({classes}) are part of lnn-edge, so there are no "
            "figures."
        )
        return
    patients = len({p.recording.patient for p in report.predictions})
    words = report.words
    if report.trained_on:
        yield paragraph(report.trained_on.sentence)
    yield paragraph(
        f"Integer model on the {judged.n:,} labelled and decided {words.unit} of the "
        f"{len(report.predictions)} recordings below, {patients} {words.people}. {words.choice}"
    )
    columns = ("class", words.unit, "Se", "PPV", "F1")
    caption = (
        f"Per class, 0 where nothing was found; in brackets 95 % bootstrap intervals over only "
        f"{patients} {words.people}"
    )
    yield table(caption, columns, _class_rows(judged))
    absent = ", ".join(judged.absent_classes)
    yield paragraph(
        f"Accuracy {judged.accuracy:.3f}{_interval(judged, 'accuracy')}; mean F1 of "
        f"{', '.join(judged.main_classes)} "
        f"{judged.main_f1:.3f}{_interval(judged, 'main_f1')}; of all classes that occur "
        f"{judged.macro_f1:.3f}." + (f" {absent}: in none of these recordings." if absent else "")
    )
    yield table(
        "True class (rows) and predicted class (columns); colour: part of the row",
        ("", *judged.classes),
        _confusion_rows(judged),
    )


def _class_rows(judged: Evaluation) -> Iterator[tuple[Html, ...]]:
    for name, figures in judged.classes.items():
        values = (("se", figures.se), ("ppv", figures.ppv), ("f1", figures.f1))
        shown = (
            element(
                "td",
                {},
                text("-" if value is None else f"{value:.3f}"),
                element("span", {"class": "range"}, text(_interval(judged, f"{name} {key}"))),
            )
            for key, value in values
        )
        yield (text(name), cell(f"{figures.n:,}"), *shown)


def _interval(judged: Evaluation, name: str) -> str:
    if name not in judged.intervals:
        return ""
    low, high = judged.intervals[name]
    return f" [{low:.3f}, {high:.3f}]"


def _confusion_rows(judged: Evaluation) -> Iterator[tuple[Html, ...]]:
    for true, (name, row) in enumerate(zip(judged.classes, judged.confusion, strict=True)):
        whole = sum(row)
        cells = (
            heat(n, n / whole if whole else 0.0, "heat" if true == column else "miss")
            for column, n in enumerate(row)
        )
        yield (text(name), *cells)


def _findings(report: Report) -> Iterator[Html]:
    """Yield a table of probabilities, what is known of each recording beside them."""
    known = {1: "present", 0: "absent", -1: "unknown"}
    rows = [
        (
            text(f.recording.name),
            *(
                cell(f"{p:.2f} ({known[k]})", "word")
                for p, k in zip(f.probabilities, f.known, strict=True)
            ),
        )
        for f in report.findings
    ]
    yield paragraph(report.words.legend)
    columns = ("recording", *report.project.graph.classes)
    yield table("Probability of each finding, and what is known", columns, rows)
    yield paragraph(report.words.source, "note")


def _strips(report: Report) -> Iterator[Html]:
    if report.findings:
        yield from _findings(report)
        return
    if not report.predictions:
        yield paragraph("There is nothing to show without predictions.")
        return
    yield paragraph(report.words.legend)
    for prediction in report.predictions:
        yield _draw(prediction)
    yield paragraph(report.words.source, "note")


def _draw(prediction: Prediction) -> Html:
    is_of_events = prediction.recording.task.decide == "events"
    return (draw_recording if is_of_events else draw_run)(prediction)


def _memory(report: Report) -> Iterator[Html]:
    build, board = report.build, report.project.board
    if build is None:
        yield paragraph("This project has not been built yet.")
        return
    for failure in build.budget_failures:
        yield paragraph(f"Over budget: {failure}.", "verdict bad")
    yield paragraph(
        "Each bar is one memory of the board to scale; where little of it is in use, the second "
        "bar shows that part enlarged. Sizes in bytes."
    )
    for region in board.memory:
        yield draw_region(board, build, region)
    way = " → ".join(build.stack_path)
    yield paragraph(f"Deepest way of the stack from reset, interrupts come on top: {way}", "note")


def _operators(report: Report) -> Iterator[Html]:
    build = report.build
    if build is None:
        yield paragraph("The cost of the operators is known once the project is built.")
        return
    profiled = report.profiled
    columns = ["operator", "computes", "kernel", "MACs", "code", "constants", "stack"]
    columns += ["instructions a decision"] if profiled else []
    rows = _operator_rows(build, profiled)
    yield table("In execution order; sizes in bytes", columns, rows, words=3)
    if profiled is None:
        yield paragraph(how_to_count(report.project), "note")
        return
    functions = {o.function for o in build.operators}
    yield paragraph(operator_sentence(profiled, functions), "note")


def _operator_rows(build: BuildFacts, profiled: LinkFacts | None) -> Iterator[tuple[Html, ...]]:
    per_step = profiled.per_step if profiled else {}
    table_of = [
        (o.macs, o.code_bytes, o.const_bytes, o.stack_bytes, per_step.get(o.function, 0.0))
        for o in build.operators
    ]
    largest = [max(column, default=0) for column in zip(*table_of, strict=True)]
    count = len(largest) if profiled else len(largest) - 1
    for operator, values in zip(build.operators, table_of, strict=True):
        numbers = [bar(v, m) for v, m in zip(values, largest, strict=True)][:count]
        words = (cell(operator.kind, "word"), cell(operator.kernel, "word"))
        yield (text(operator.name), *words, *numbers)
    sums = [sum(column) for column in zip(*table_of, strict=True)]
    shown = [cell(f"{v:,.0f}") for v in sums][:count]
    if shown:
        shown[3] = cell("")  # stacks do not add up
        yield (text("all operators"), cell("", "word"), cell("", "word"), *shown)


def _provenance(report: Report) -> Iterator[Html]:
    yield table("What this report is made from", ("item", "value"), _provenance_rows(report), 2)


def _provenance_rows(report: Report) -> Iterator[tuple[Html, ...]]:
    export, metadata = report.project.export, report.project.graph.metadata
    build = report.build
    elf = build.elf_sha256 if build else ""
    hashes = (
        ("model.qgraph, sha256 of the graph", report.model_sha256),
        ("float weights, sha256", metadata.get("weights_sha256", "not recorded")),
        ("firmware.elf, sha256", elf or "not built"),
        ("board description, sha256", export.get("board_sha256", "not recorded")),
    )
    for name, value in hashes:
        yield text(name), cell(value, "hash")
    calibration = report.project.graph.contract.calibration_records
    verified = sorted({r for link in report.links for r in link.records})
    shown = ", ".join(p.recording.name for p in report.predictions)
    for name, value in (
        ("board", f"{report.project.board.name}: {report.project.board.mcu.source}"),
        ("exported by lnn-edge", export.get("lnn_edge", "not recorded")),
        ("reported by lnn-edge", lnn_edge.__version__),
        ("compiler", (build.compiler if build else "") or "not built"),
        ("trained on data set", metadata.get("dataset", "not recorded")),
        ("calibration records", ", ".join(calibration) or "not recorded"),
        ("records verified", ", ".join(verified) or "none"),
        ("records shown", shown or "none"),
    ):
        yield text(name), cell(value, "prose")
