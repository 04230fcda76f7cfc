"""`lnn-edge recipes`: the built-in recipes."""

from __future__ import annotations

from dataclasses import asdict

import click

from lnn_edge.cli.output import entry, json_option, show_json


@click.command(name="recipes")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the recipes of `train`, or print one, built-in or a TOML file, with all its defaults.

    A recipe of one's own needs three lines: name, network and dataset.

    \b
    Example: lnn-edge recipes har-cfc
    """
    from lnn_edge.data.registry import DATASETS
    from lnn_edge.files.shipped import shipped_names
    from lnn_edge.train.recipe import builtin_recipes, load_recipe

    found = {n: load_recipe(n) for n in ([name] if name else builtin_recipes())}
    if as_json:
        show_json([{"recipe": n, **asdict(r)} for n, r in found.items()])
    elif name:
        import tomli_w

        click.echo(tomli_w.dumps(asdict(found[name])), nl=False)
    else:
        for n, r in found.items():
            known = DATASETS.get(r.dataset)
            data = f"{r.dataset}: {known.summary}" if known else r.dataset or "your own recordings"
            lines = [f"network {r.network}; learns from {data}"]
            lines += [f"shipped trained: lnn-edge models {n}"] * (n in shipped_names())
            entry(n, r.summary, lines)
        click.echo("all of one: lnn-edge recipes NAME; change it: train NAME --set key=value")
