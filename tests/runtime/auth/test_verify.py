"""`embedding-runtime verify --url` asks a server that wants a key."""

import json
from pathlib import Path

from click.testing import CliRunner
from served_process import ServedProcess
from signed_tokens import AUDIENCE, Authority, jwks

from embedding_runtime.commands.verify import verify

CASE = {"name": "other", "similarity": {"a": "one text", "b": "two texts", "expected": "0", "tolerance": "0.9"}}


def test_the_key_of_a_file_is_sent_and_without_it_the_status_is_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("search-team-0001\n")
    (tmp_path / "jwks.json").write_text(jwks(Authority.rsa().jwk()))
    (tmp_path / "goldens.jsonl").write_text(json.dumps(CASE))
    process = ServedProcess.quoting(
        tmp_path / "log",
        api_keys=tmp_path / "key",
        jwks=tmp_path / "jwks.json",
        audience=AUDIENCE,
        log_format="json",
    )
    with process:
        process.wait("/ready")
        asked = ["--goldens", str(tmp_path / "goldens.jsonl"), "--url", process.url]
        passed = CliRunner().invoke(verify, [*asked, "--api-key-file", str(tmp_path / "key")])
        refused = CliRunner().invoke(verify, asked)
    assert passed.exit_code == 0, passed.output
    assert "passed  other" in passed.output
    assert refused.exit_code == 1
    assert "answered with 401" in refused.output
