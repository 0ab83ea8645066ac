"""The command `hub`: a Hugging Face hub on this machine.

hub start [--tls] [--cdn-port PORT] | stop | status | url
hub authority                                  prints the file of the authority that a hub with --tls is trusted by
hub push FOLDER ORG/NAME [--branch main] [--force]       prints the commit
hub delete ORG/NAME
hub demo-models                                pushes the models of the demo
hub fault add --path-glob '*/model.safetensors' --kind flip [--times 1]
hub gate ORG/NAME --gated --allow TOKEN;  hub token add TOKEN
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.hub import daemon, demo_models
from localcluster.hub.repository import GitFailed
from localcluster.hub.state import Fault, FaultKind, Gate
from localcluster.hub.store import Store, is_repo_name

_Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 1 when it failed (said on stderr), 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    arguments.state = arguments.state.resolve()  # the server is told apart by it, from any directory
    command: _Command = arguments.command
    try:
        return command(arguments)
    except (ClusterError, demo_models.DownloadFailed, GitFailed, ValueError, OSError) as error:
        print(f"hub: {error}", file=sys.stderr)
        return 1


def _start(arguments: argparse.Namespace) -> int:
    host = arguments.host or daemon.default_host()
    running = daemon.start(
        arguments.state, host=host, port=arguments.port, tls=arguments.tls, cdn_port=arguments.cdn_port
    )
    print(running.url)
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    print("stopped" if daemon.stop(arguments.state) else "not running")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    running = daemon.find(arguments.state)
    store = Store(arguments.state)
    print(f"hub: {f'{running.url} (pid {running.pid})' if running else 'not running'}; state in {arguments.state}")
    for repo in store.repos():
        repository = store.find(repo)
        commit = repository.resolve("refs/heads/main") if repository else None
        print(f"  {repo} main={commit or '-'}")
    for fault in store.state.read().faults:
        times = "until cleared" if fault.times is None else f"{fault.times} more times"
        print(f"  fault {fault.kind} on {fault.path_glob} {times}")
    return 0 if running else 3


def _url(arguments: argparse.Namespace) -> int:
    running = daemon.find(arguments.state)
    if running is None:
        raise ValueError("not running; start it with: hub start")
    print(running.url)
    return 0


def _authority(arguments: argparse.Namespace) -> int:
    running = daemon.find(arguments.state)
    if running is None or not running.tls:
        raise ValueError("no hub with TLS runs; start one with: hub start --tls")
    print(daemon.authority_file(arguments.state))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    # starlette, uvicorn and cryptography are needed here only
    from localcluster.hub.certificates import make_certificates
    from localcluster.hub.server import create_app, make_server, running

    store, host = Store(arguments.state), arguments.host or daemon.default_host()
    certificates = None
    if arguments.tls:
        certificates = make_certificates(
            daemon.authority_file(arguments.state).parent, hosts=dict.fromkeys((host, "127.0.0.1", "localhost"))
        )
    with ExitStack() as stack:
        cdn_url = None
        if arguments.cdn_port is not None:
            cdn = running(store, host=host, port=arguments.cdn_port, certificates=certificates)
            cdn_url = stack.enter_context(cdn)
        app = create_app(store, cdn_url=cdn_url)
        make_server(app, host=host, port=arguments.port, log_level="info", certificates=certificates).run()
    return 0


def _push(arguments: argparse.Namespace) -> int:
    store = Store(arguments.state)
    commit = store.push(
        arguments.folder, arguments.repo, branch=arguments.branch, message=arguments.message, force=arguments.force
    )
    print(commit)
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    if not Store(arguments.state).delete(arguments.repo):
        raise ValueError(f"there is no repository {arguments.repo!r}")
    return 0


def _demo_models(arguments: argparse.Namespace) -> int:
    store = Store(arguments.state)
    for model in (demo_models.MINILM, demo_models.SRE):
        commit = store.push(demo_models.fetch(model), model.repo, message=f"Add {model.requirement}")
        print(f"{model.repo} {commit}")
    return 0


def _fault_add(arguments: argparse.Namespace) -> int:
    fault = Fault(
        arguments.path_glob,
        FaultKind(arguments.kind),
        value=arguments.value,
        times=arguments.times,
        fraction=arguments.fraction,
    )
    Store(arguments.state).state.add_fault(fault)
    return 0


def _fault_clear(arguments: argparse.Namespace) -> int:
    Store(arguments.state).state.clear_faults()
    return 0


def _gate(arguments: argparse.Namespace) -> int:
    if not is_repo_name(arguments.repo):
        raise ValueError(f"{arguments.repo!r} is not ORG/NAME")
    gate = (
        Gate()
        if arguments.open
        else Gate(
            private=arguments.private, gated=arguments.gated or not arguments.private, allowed=tuple(arguments.allow)
        )
    )
    Store(arguments.state).state.set_gate(arguments.repo, gate)
    return 0


def _token_add(arguments: argparse.Namespace) -> int:
    Store(arguments.state).state.add_token(arguments.token)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hub", description="A Hugging Face hub on this machine.")
    parser.add_argument("--state", type=Path, default=layout.HUB_STATE, help="folder of repositories and settings")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for name, command, text in (("start", _start, "serve in the background"), ("serve", _serve, "serve here")):
        serving = _add(commands, name, command, text)
        serving.add_argument("--host", help=f"default: {layout.ADDRESS} where this machine has it, or loopback")
        serving.add_argument("--port", type=int, default=layout.HUB_PORT)
        serving.add_argument("--tls", action="store_true", help="https, by an authority of its own")
        serving.add_argument("--cdn-port", type=int, help="hand out large files by redirect to this port")
    _add(commands, "stop", _stop, "end the background server")
    _add(commands, "status", _status, "what runs, which models it has, which faults are set")
    _add(commands, "url", _url, "the endpoint of the running hub")
    _add(commands, "authority", _authority, "the file of the authority that a hub with --tls is trusted by")
    _add(commands, "demo-models", _demo_models, "fetch the models of the demo and push them")

    push = _add(commands, "push", _push, "make a branch equal to a folder; prints the commit")
    push.add_argument("folder", type=Path)
    push.add_argument("repo", metavar="ORG/NAME")
    push.add_argument("--branch", default="main", help="or a full ref, as refs/pr/1")
    push.add_argument("--message", default="Upload model")
    push.add_argument("--force", action="store_true", help="replace the branch's history")
    deleting = _add(commands, "delete", _delete, "remove a repository")
    deleting.add_argument("repo", metavar="ORG/NAME")

    gate = _add(commands, "gate", _gate, "make a repository gated (default) or private, or open it again")
    gate.add_argument("repo", metavar="ORG/NAME")
    gate.add_argument("--gated", action="store_true", help="listed for all, read with an allowed token")
    gate.add_argument("--private", action="store_true", help="invisible without a token")
    gate.add_argument("--open", action="store_true", help="neither")
    gate.add_argument("--allow", action="append", default=[], metavar="TOKEN", help="may read; repeatable")

    token = commands.add_parser("token", help="valid tokens").add_subparsers(required=True, metavar="COMMAND")
    _add(token, "add", _token_add, "accept a token").add_argument("token")

    fault = commands.add_parser("fault", help="go wrong on demand").add_subparsers(required=True, metavar="COMMAND")
    _add(fault, "clear", _fault_clear, "remove all faults")
    adding = _add(fault, "add", _fault_add, "add a fault")
    adding.add_argument("--path-glob", required=True, help="request paths; * matches slashes too")
    adding.add_argument("--kind", required=True, choices=[kind.value for kind in FaultKind])
    adding.add_argument("--times", type=int, help="default: until cleared")
    place = adding.add_mutually_exclusive_group()
    place.add_argument(
        "--value",
        type=int,
        help="slow: bytes/s; cut, stall: bytes sent; flip: offset; size: bytes more or fewer; 429, 503: Retry-After in"
        " seconds",
    )
    place.add_argument("--fraction", type=float, help="cut, stall, flip: at this part of the whole file, 0 to 1")
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: _Command, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
