"""The files of an image as its layers make them, one upon the other (OCI image specification, layer.md).

Only names are held here. What a layer removes is gone before what it brings is added, whatever the order in its
archive. Nothing is ever written or looked up through a link: a file below a name that is a link is refused.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.registry.documents import image_path

Parts = tuple[str, ...]
_MOST_LINKS = 40  # that lead to one another; Linux follows as many


@dataclass(frozen=True)
class File:
    """`content` is where its bytes are."""

    content: Path


@dataclass(frozen=True)
class Link:
    """`target` in parts from the image's root, for a hard link too."""

    target: Parts
    hard: bool = False


@dataclass
class Folder:
    children: "dict[str, Node]" = field(default_factory=dict)


Node = File | Link | Folder


@dataclass
class LayerContent:
    """What one layer says, in the order of its archive: what it hides of the layers below, and what it brings."""

    removed: list[Parts] = field(default_factory=list)
    emptied: list[Parts] = field(default_factory=list)
    added: list[tuple[Parts, Node]] = field(default_factory=list)


class ImageTree:
    def __init__(self) -> None:
        self._root = Folder()

    def apply(self, layer: LayerContent) -> None:
        """Put a layer upon those before. Refuses UnsafePath, MissingFile (a hard link to nothing)."""
        for path in layer.removed:
            parent = self._find(path[:-1])
            if isinstance(parent, Folder):
                parent.children.pop(path[-1], None)
        for path in layer.emptied:
            folder = self._find(path)
            if isinstance(folder, Folder):
                folder.children.clear()
        for path, node in layer.added:
            self._add(path, node)

    def files_below(self, path: Parts) -> Iterator[tuple[str, Path]]:
        """Path below the folder and content of each file; links that stay inside the folder are resolved.

        Names that begin with a dot, links to folders, and links to nothing are left out. Refuses MissingFile when
        there is no such folder, UnsafePath for a link that leaves it.
        """
        folder = self._folder(path)
        waiting: list[tuple[Parts, Folder]] = [((), folder)]
        while waiting:
            parts, node = waiting.pop()
            for name, child in node.children.items():
                inside = (*parts, name)
                if name.startswith("."):
                    continue
                if isinstance(child, Folder):
                    waiting.append((inside, child))
                    continue
                content = child.content if isinstance(child, File) else self._follow((*path, *inside), scope=path)
                if content is not None:
                    yield "/".join(inside), content

    def _folder(self, path: Parts) -> Folder:
        for length in range(len(path) + 1):
            if isinstance(self._find(path[:length]), Link):
                raise Refusal(
                    Reason.UNSAFE_PATH,
                    f"/{'/'.join(path[:length])} is a link in the image; write the path of the folder itself",
                    field="model.image.path",
                )
        node = self._find(path)
        if not isinstance(node, Folder):
            raise Refusal(Reason.MISSING_FILE, f"the image has no folder /{'/'.join(path)}", field="model.image.path")
        return node

    def _find(self, path: Parts) -> Node | None:
        node: Node | None = self._root
        for part in path:
            if not isinstance(node, Folder):
                return None
            node = node.children.get(part)
        return node

    def _add(self, path: Parts, node: Node) -> None:
        if not path:
            return
        folder = self._root
        for part in path[:-1]:
            below = folder.children.get(part)
            if isinstance(below, Link):
                raise Refusal(
                    Reason.UNSAFE_PATH,
                    f"the image holds {_shown(path)} below a name that is a link; build it without links to folders",
                )
            if not isinstance(below, Folder):  # nothing, or a file that a folder takes the place of
                below = folder.children[part] = Folder()
            folder = below
        if isinstance(node, Folder) and isinstance(folder.children.get(path[-1]), Folder):
            return
        if isinstance(node, Link) and node.hard:
            node = self._linked(node, path=path)
        folder.children[path[-1]] = node

    def _linked(self, link: Link, *, path: Parts) -> Node:
        """A hard link is another name of what is there now, in this layer or below."""
        found = self._find(link.target)
        if isinstance(found, File | Link):
            return found
        raise Refusal(
            Reason.UNSAFE_PATH,
            f"{_shown(path)} in the image is a hard link to {_shown(link.target)}, which is no file of the model's"
            " folder; build the image with the file itself",
        )

    def _follow(self, path: Parts, *, scope: Parts) -> Path | None:
        node = self._find(path)
        for _ in range(_MOST_LINKS):
            if not isinstance(node, Link):
                break
            if node.target[: len(scope)] != scope:
                raise Refusal(
                    Reason.UNSAFE_PATH,
                    f"{_shown(path)} in the image is a link that leaves the model's folder; build the image with the"
                    " files themselves (cp -rL)",
                )
            node = self._find(node.target)
        return node.content if isinstance(node, File) else None


def link_target(text: str, *, path: Parts) -> Parts:
    """Where a symbolic link at `path` leads, from the image's root, above which nothing is."""
    joined = posixpath.join("/", *path[:-1], text)
    return image_path(posixpath.normpath(joined))


def _shown(path: Parts) -> str:
    return repr("/".join(path)[:200])
