"""`embedding-runtime`: what runs in the pods."""

import importlib

import click

COMMANDS = ("serve", "fetch", "prune", "verify", "goldens", "inspect", "resolve", "convert")


class Commands(click.Group):
    """Imports a command's module only when it is used: `fetch` needs no server, `inspect` no tokenizer."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"embedding_runtime.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="embedding-operator")
def main() -> None:
    """Serve embedding models; fetch, verify, inspect and convert them, and make golden cases of them."""


if __name__ == "__main__":
    main(prog_name="embedding-runtime")
