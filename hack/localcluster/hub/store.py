"""Everything the hub keeps, in one folder: repositories, tokens, gates, faults."""

import re
from pathlib import Path

from localcluster.hub.repository import Repository
from localcluster.hub.state import StateFile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


class Store:
    """`path/repos/ORG/NAME.git` and `path/state.json`. Several processes may use one store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = StateFile(path)
        self._repositories: dict[str, Repository] = {}

    def push(
        self, folder: Path, repo: str, *, branch: str = "main", message: str = "Upload model", force: bool = False
    ) -> str:
        """Make the branch (or full ref) equal to the folder and return its commit; an equal tree makes no new commit.

        `force` replaces the branch's history by one new commit.

        Raises ValueError for a name that is not ORG/NAME or a folder that does not exist, GitFailed when git fails.
        """
        if not is_repo_name(repo):
            raise ValueError(f"{repo!r} is not ORG/NAME")
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
        repository = self._repository(repo)
        repository.create()
        return repository.commit_folder(folder, branch=branch, message=message, force=force)

    def delete(self, repo: str) -> bool:
        """Remove the repository with everything in it; False when there is none."""
        repository = self.find(repo)
        if repository is not None:
            repository.delete()
            del self._repositories[repo]  # what its object remembers of commits ends with it
        return repository is not None

    def find(self, repo: str) -> Repository | None:
        """The repository, or None when there is none of that name."""
        if not is_repo_name(repo):
            return None
        repository = self._repository(repo)
        return repository if repository.exists else None

    def repos(self) -> list[str]:
        root = self.path / "repos"
        return sorted(path.relative_to(root).as_posix().removesuffix(".git") for path in root.glob("*/*.git"))

    def _repository(self, repo: str) -> Repository:
        # one object per name: its answers are cached by identity
        return self._repositories.setdefault(repo, Repository(self.path / "repos" / f"{repo}.git"))


def is_repo_name(repo: str) -> bool:
    parts = repo.split("/")
    return len(parts) == 2 and all(_NAME.fullmatch(part) and ".." not in part for part in parts)
