"""`lnn-edge tasks`: what models can be made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import entry, json_option, show_json

if TYPE_CHECKING:
    from lnn_edge.tasks.task import Task


@click.command(name="tasks")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the tasks, or print one, known here or in a TOML file, as the task file that it is.

    \b
    Example: lnn-edge tasks beats
    """
    from lnn_edge.tasks.registry import find_task, task_names
    from lnn_edge.tasks.task_file import document_of

    found = [find_task(n) for n in ([name] if name else task_names())]
    made = {task.name: _made_for(task) for task in found}
    if as_json:
        show_json([{**document_of(t), **made[t.name], "shown": t.shown} for t in found])
    elif name:
        import tomli_w

        click.echo(tomli_w.dumps(document_of(found[0])), nl=False)
    else:
        for task in found:
            entry(task.name, task.summary, [*_lines(task), *_made_lines(made[task.name])])
        click.echo("all of one: lnn-edge tasks NAME; one of your own: lnn-edge data inspect PATH")


def _lines(task: Task) -> list[str]:
    channels = [f"{c.name} ({c.unit})" if c.unit else c.name for c in task.frame.channels]
    said = f"decides on {task.decide}: {', '.join(task.classes)}"
    if task.is_multi_label:
        said += ", any of them"
    return [f"reads {', '.join(channels)} at {task.frame.rate_hz:g} Hz", said]


def _made_for(task: Task) -> dict[str, list[str]]:
    """Return the networks, recipes and shipped models of a task."""
    from lnn_edge.files.shipped import shipped_names
    from lnn_edge.train.recipe import builtin_recipes, load_recipe

    networks = [network.name for network in task.networks]
    recipes = [n for n in builtin_recipes() if load_recipe(n).network in networks]
    models = [n for n in shipped_names() if _task_of(n) == task.name]
    return {"networks": networks, "recipes": recipes, "models": models}


def _task_of(model: str) -> str | None:
    from lnn_edge.files.shipped import GRAPH, shipped_folder
    from lnn_edge.graph.file import load_graph

    return load_graph(shipped_folder(model) / GRAPH).contract.task


def _made_lines(made: dict[str, list[str]]) -> list[str]:
    return [f"{what}: {', '.join(names)}" for what, names in made.items() if names]
