"""The hub's errors, with the headers by which huggingface_hub tells them apart."""

from starlette.responses import JSONResponse


class HubError(Exception):
    """An error answer. `code` is X-Error-Code, absent where the hub itself sends none."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.message}, status_code=self.status, headers=self.headers)


def repo_not_found(*, authenticated: bool) -> HubError:
    """A stranger gets the same answer for a missing and for a private repository."""
    if authenticated:
        return HubError(404, "Repository not found", code="RepoNotFound")
    return HubError(401, "Invalid username or password.", code="RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    return HubError(404, f"Invalid rev id: {_header(revision)}", code="RevisionNotFound")


def entry_not_found(commit: str) -> HubError:
    return HubError(404, "Entry not found", code="EntryNotFound", headers={"X-Repo-Commit": commit})


def gated(repo: str, *, authenticated: bool) -> HubError:
    message = f"Access to model {repo} is restricted"
    if authenticated:
        return HubError(403, f"{message} and you are not in the authorized list.", code="GatedRepo")
    return HubError(401, f"{message}. You must be authenticated to access it.", code="GatedRepo")


def invalid_token() -> HubError:
    return HubError(401, "Invalid credentials in Authorization header")


def no_route() -> HubError:
    return HubError(404, "Sorry, we can't find the page you are looking for.")


def _header(text: str) -> str:
    return text.encode("ascii", errors="replace").decode()[:100]
