"""`embedding-runtime`: what runs in the pods."""

import click

from embedding_runtime.commands.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="embedding-operator")
def main() -> None:
    """Serve embedding models; fetch, verify and inspect them."""


main.add_command(serve)

if __name__ == "__main__":
    main()
