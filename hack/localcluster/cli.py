"""The command line `hack/cluster`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from localcluster import binaries, layout
from localcluster.errors import ClusterError
from localcluster.images import TARGETS
from localcluster.modes import Mode, chosen_mode

_DESCRIPTION = """\
A real Kubernetes on this machine: API server, etcd, controllers, scheduler, kubelet, containerd, kube-proxy, CoreDNS,
an image registry, a default StorageClass, and two nvidia.com/gpu that are counted but do not exist.

CLUSTER=kind     uses kind (Docker or Podman must run)
CLUSTER=current  uses the current context of your kubeconfig and touches nothing else
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command; answers the exit code."""
    _search_system_programs()
    parser = _parser()
    if arguments[:1] == ["hub"]:
        return _run_hub(arguments)
    options = parser.parse_args(arguments)
    try:
        return _run(options, mode=chosen_mode())
    except ClusterError as error:
        print(f"hack/cluster {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has enough of it, as `| head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"hack/cluster {options.command}: interrupted; run it again to go on", file=sys.stderr)
        return 130


def _search_system_programs() -> None:
    """Look for programs in the system administrator's folders too: `su` and some services leave them out of PATH."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    added = [folder for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin") if folder not in folders]
    os.environ["PATH"] = os.pathsep.join([*folders, *added])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring the cluster up, or what of it is missing")
    up.add_argument("--control-plane-only", action="store_true", help="API server, etcd and controllers without a node")
    commands.add_parser("down", help="stop the cluster and remove every trace of it; images and binaries stay cached")
    status = commands.add_parser("status", help="what runs, where things are, what they take of the disk")
    status.add_argument("-o", "--output", choices=["text", "json"], default="text")
    status.add_argument("--no-disk", action="store_true", help="leave out the disk usage, which takes seconds to count")
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    tool = commands.add_parser("tool", help="print the path of a client tool, installing it when it is missing")
    tool.add_argument("name", choices=binaries.CLIENT_TOOLS)
    commands.add_parser("tools", help="fetch or build every binary that the cluster and the tests need")
    build = commands.add_parser("build", help="build and push images; prints their references, by digest")
    build.add_argument("target", nargs="?", choices=[*TARGETS, "all"], default="all")
    load = commands.add_parser("load", help="make an image of this machine's Docker or buildah known to the cluster")
    load.add_argument("image", help="its name, or the path of an archive")
    push = commands.add_parser("push-image", help="push a model's folder as an image of data; prints it by digest")
    push.add_argument("folder", type=Path)
    push.add_argument("name", help="repository in the cluster's registry, such as models/bge-small")
    push.add_argument("--path", default="/", help="folder of the model in the image (default: its root)")
    commands.add_parser("hub", help="a model hub on this machine (hack/cluster hub --help)", add_help=False)
    return parser


def _run(options: argparse.Namespace, *, mode: Mode) -> int:
    match options.command:
        case "up":
            mode.up(control_plane_only=options.control_plane_only)
        case "down":
            mode.down()
        case "status":
            report = mode.status(with_disk=not options.no_disk)
            print(report.as_json() if options.output == "json" else report.as_text())
        case "kubeconfig":
            print(mode.kubeconfig())
        case "tool":
            print(binaries.ensure_client_tool(options.name))
        case "tools":
            binaries.ensure(extras=True)
        case "build":
            targets = list(TARGETS) if options.target == "all" else [options.target]
            for reference in mode.build(targets).values():
                print(reference)
        case "load":
            print(mode.load(options.image))
        case "push-image":
            print(mode.push_folder(options.folder, name=options.name, path=options.path))
    return 0


def _run_hub(arguments: Sequence[str]) -> int:
    """Hand over to the hub, in the development environment's Python where there is one: it needs its libraries."""
    python = layout.REPOSITORY / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), str(layout.REPOSITORY / "hack" / "cluster"), *arguments])
    from localcluster.hub.cli import main as hub

    return hub(list(arguments[1:]))
