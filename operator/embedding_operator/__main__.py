"""The command `embedding-operator`: run, inspect, explain. Each one imports what it needs when it is called."""

import click

from embedding_operator.cli.explain import explain
from embedding_operator.cli.inspect import inspect
from embedding_operator.cli.run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="embedding-operator")
def cli() -> None:
    """Serve embedding models on Kubernetes: exact bytes, verified outputs, one vector space per Service."""


cli.add_command(run)
cli.add_command(inspect)
cli.add_command(explain)


def main() -> None:
    cli()


if __name__ == "__main__":
    main()
