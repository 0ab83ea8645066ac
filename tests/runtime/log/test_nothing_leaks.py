"""A guarded process that is asked everything, right and wrong, and that fails in every way: its log holds no secret and
no text of a user."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from served_process import RawConnection, ServedProcess
from signed_tokens import AUDIENCE, Authority, jwks, mount, unsigned

from embedding_runtime.commands.serve import serve
from embedding_runtime.http.routing import Router

KEY = "sesame-key-0001"
NEW_KEY = "sesame-key-0002"
MARK = "sesame"  # in every key, text, name, path and header that is sent
FAULTS = ("fail-tokenizer", "fail-chain", "fail-thread", "fail-callback", "fail-task")
THIRTEEN_WORDS = " ".join(f"{MARK}-{number}" for number in range(13))  # the backend fails for it


@dataclass
class Guarded:
    process: ServedProcess
    client: httpx.Client
    authority: Authority
    folder: Path

    def ask(self, path: str = "/v1/embeddings", *, credential: str = f"Bearer {KEY}", **options: Any) -> int:
        method = options.pop("method", "POST")
        headers = {"authorization": credential, "x-sesame": f"{MARK}-header", **options.pop("headers", {})}
        answer = self.client.request(method, self.process.url + path, headers=headers, **options)
        return answer.status_code

    def embed(self, text: str, **options: Any) -> int:
        return self.ask(json={"model": "words", "input": text}, **options)


@pytest.fixture(scope="module", params=["json", "text"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The form and the whole text of the log of a process that was asked everything."""
    folder = tmp_path_factory.mktemp("mounted")
    authority = Authority.rsa("sesame-kid")
    mount(folder, keys=f"{KEY}\n", jwks__json=jwks(authority.jwk()))
    path = tmp_path_factory.mktemp("log") / "log.txt"
    started = ServedProcess.quoting(
        path, api_keys=folder / "keys", jwks=folder / "jwks.json", audience=AUDIENCE, log_format=request.param
    )
    with started as process, httpx.Client(timeout=30) as client:
        process.wait("/ready")
        guarded = Guarded(process, client, authority, folder)
        ask_rightly(guarded)
        ask_without_right(guarded)
        ask_wrongly(guarded)
        make_it_fail(guarded)
        rotate(guarded)
        process.terminate()
        assert process.exit_status() == 0
    return request.param, path.read_text()


def ask_rightly(guarded: Guarded) -> None:
    assert guarded.embed(f"{MARK} text") == 200
    assert guarded.embed(f"{MARK} text", credential=KEY) == 200
    assert guarded.embed(f"{MARK} text", credential=f"bearer {guarded.authority.mint(sub=MARK)}") == 200
    assert guarded.ask("/embed", json={"inputs": [f"{MARK} text"]}) == 200
    assert guarded.ask("/health", method="GET", credential="") == 200


def ask_without_right(guarded: Guarded) -> None:
    now = int(time.time())
    claims = {"aud": AUDIENCE, "exp": now + 600, "sub": MARK}
    for credential in (
        "",
        f"Bearer {MARK}-wrong-key",
        f"{MARK}-wrong-key",
        f"Basic {MARK}",
        f"Bearer {MARK} {MARK}",
        f"Bearer {MARK}.{MARK}.{MARK}",
        guarded.authority.mint(exp=now - 600, sub=MARK),
        guarded.authority.mint(aud=f"{MARK}-audience"),
        Authority.rsa("sesame-other").mint(),
        unsigned(claims, key_id="sesame-kid"),
        "Bearer " + MARK * 4000,
    ):
        assert guarded.embed(f"{MARK} text", credential=credential) == 401, credential[:30]


def ask_wrongly(guarded: Guarded) -> None:
    """Every route, with bodies, paths, queries and headers that are wrong in the usual ways."""
    for path, place in Router().places.items():
        for method in place.targets[0].methods:
            for body in (
                b"",
                b"{" + MARK.encode(),
                b'"sesame"',
                b'{"model": "sesame", "input": "sesame"}',
                b'{"input": {"sesame": ["sesame"]}, "inputs": {"sesame": 1}, "texts": "sesame", "query": ["sesame"]}',
                b'{"input": "sesame \xff"}',
            ):
                assert guarded.ask(f"{path}?q={MARK}", method=method, content=body) < 500
    assert guarded.ask(f"/{MARK}/path", json={}) == 404
    assert guarded.ask(f"/v1/models/{MARK}", method="GET") == 404
    assert guarded.embed(f"{MARK} text", headers={"x-embedding-space": f"sp1-{MARK}"}) == 412
    assert guarded.ask(method="DELETE") == 405
    connection = RawConnection(guarded.process.port)
    connection.send(f"{MARK} is no HTTP\r\n\r\n".encode())
    assert connection.receive().status == 400
    connection.close()
    private = f"{guarded.process.private_url}/goldens"
    for credential in ("", f"Bearer {MARK}.{MARK}.{MARK}", f"Bearer {KEY}"):
        answer = guarded.client.post(private, headers={"authorization": credential}, content=MARK)
        assert answer.status_code in (401, 403)


def make_it_fail(guarded: Guarded) -> None:
    for fault in FAULTS:
        status = guarded.embed(f"{fault} {MARK} text")
        assert status == (500 if fault in ("fail-tokenizer", "fail-chain") else 200)
    assert guarded.embed(THIRTEEN_WORDS) == 500
    assert guarded.embed(f"{MARK} text") == 200


def rotate(guarded: Guarded) -> None:
    mount(guarded.folder, keys=f"{NEW_KEY}\n")
    assert guarded.embed(f"{MARK} text") == 401
    assert guarded.embed(f"{MARK} text", credential=f"Bearer {NEW_KEY}") == 200
    mount(guarded.folder, keys="sesame\n", jwks__json='{"sesame"')  # both spoilt: the last good ones stay
    assert guarded.embed(f"{MARK} text", credential=f"Bearer {NEW_KEY}") == 200
    assert guarded.embed(f"{MARK} text", credential=guarded.authority.mint()) == 200


def test_no_line_holds_a_secret_or_text_of_a_user(log: tuple[str, str]) -> None:
    _, text = log
    leaking = [line for line in text.splitlines() if MARK in line.lower()]
    assert not leaking


def test_every_failure_is_in_the_log_with_the_place_where_it_was_raised(log: tuple[str, str]) -> None:
    _, text = log
    assert text.count("a request failed with an unexpected error") == 2
    assert text.count("an error outside of any request") == 2
    assert "ended with an error" in text
    for word in ("in fail", "in fail_again", "in fail_soon", "in refuse_batch", "KeyError", "RuntimeError"):
        assert word in text
    assert "What it held before stays in force" in text
    assert "1 key" in text


def test_every_line_of_the_json_log_is_an_object(log: tuple[str, str]) -> None:
    form, text = log
    for line in text.splitlines() if form == "json" else ():
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))


@pytest.mark.parametrize(("flag", "words"), [("--api-keys", "holds none of the API keys"), ("--jwks", "not JSON")])
def test_the_server_does_not_start_without_good_keys(tmp_path: Path, flag: str, words: str) -> None:
    (tmp_path / MARK).write_text(f"# {MARK}\n")
    log = tmp_path / "log"
    arguments = ["serve", "--model", str(tmp_path), flag, str(tmp_path / MARK), "--log-format", "json"]
    arguments += ["--jwt-audience", AUDIENCE] if flag == "--jwks" else []
    with ServedProcess.real(log, *arguments) as process:
        assert process.exit_status() == 1
    [entry] = [json.loads(line) for line in log.read_text().splitlines()]
    assert entry["message"].startswith("InvalidAuth: ")
    assert words in entry["message"]
    assert f"# {MARK}" not in entry["message"]


@pytest.mark.parametrize(
    "arguments",
    [["--jwks", "jwks.json"], ["--jwt-audience", "search"], ["--jwt-issuer", "https://login.example.com/"]],
    ids=["a JWKS for any audience", "an audience without a JWKS", "an issuer without a JWKS"],
)
def test_half_of_the_flags_of_tokens_is_bad_usage(arguments: list[str]) -> None:
    ended = CliRunner().invoke(serve, ["--model", "nowhere", *arguments])
    assert ended.exit_code == 2
    assert "--jwks" in ended.output
