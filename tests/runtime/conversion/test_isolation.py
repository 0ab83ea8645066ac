"""A pickle is read by a process that can open nothing, whatever the pickle makes it do."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest
import torch
from hostile_pickles import attempts, write_hostile
from safetensors.torch import load_file

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_runtime.conversion.isolated import CHILD, convert, describe

SUPPORT = Path(__file__).parents[2] / "support"
UNGUARDED = (sys.executable, str(SUPPORT / "unguarded_child.py"))  # weights_only off, the sandbox on


def refusal_of(source: Path, *, child: tuple[str, ...] = CHILD, deadline_seconds: float | None = None) -> Refusal:
    target = source.with_suffix(".safetensors")
    with pytest.raises(Refusal) as raised:
        convert(source, target=target, name=source.name, child=child, deadline_seconds=deadline_seconds)
    assert raised.value.reason is Reason.CONVERSION_FAILED
    assert raised.value.field == "model.conversion"
    assert not target.exists()
    return raised.value


def inline(code: str) -> tuple[str, ...]:
    """A child that only runs `code`, which finds the numbers of the descriptors in sys.argv[1:3]."""
    return (sys.executable, "-c", code)


def test_two_conversions_of_one_pickle_give_one_hash(tmp_path: Path) -> None:
    embeddings = torch.randn(300, 8)
    source = tmp_path / "pytorch_model.bin"
    tensors = {"embeddings.word_embeddings.weight": embeddings, "head.decoder.weight": embeddings, "step": 3}
    torch.save(tensors, source)

    one = convert(source, target=tmp_path / "one", name=source.name)
    other = convert(source, target=tmp_path / "other", name=source.name)

    assert one == other
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert torch.equal(load_file(tmp_path / "one")["embeddings.word_embeddings.weight"], embeddings)
    assert describe(one.report) == (
        '1 tensor converted from a pickle; 1 left out as the same memory as another ("head.decoder.weight"); '
        '1 dropped as no tensors ("step")'
    )


def test_a_pipe_in_the_pickles_place_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pytorch_model.bin")
    with pytest.raises(Unavailable, match="no plain file"):
        convert(tmp_path / "pytorch_model.bin", target=tmp_path / "model.safetensors", name="pytorch_model.bin")


def test_a_pickle_with_code_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    source = write_hostile(tmp_path / "pytorch_model.bin", code=f"open({str(trace)!r}, 'w').close()")
    assert "would run code" in refusal_of(source).message
    assert not trace.exists()


def test_code_that_gets_past_torchs_guard_can_reach_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("hf_secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        parent = os.getpid()
        tries = {
            "socket": "socket.socket()",
            "connect": f"socket.create_connection(('127.0.0.1', {port}), timeout=1)",
            "unix socket": "socket.socket(socket.AF_UNIX)",
            "socketpair": "socket.socketpair()",
            "look up a name": "socket.getaddrinfo('localhost', 80)",
            "read the token": f"open({str(secret)!r}).read()",
            "read by another call": f"os.open({str(secret)!r}, os.O_RDONLY)",
            "environment of the parent": f"open('/proc/{parent}/environ').read()",
            "write a file": f"open({str(tmp_path / 'trace')!r}, 'w')",
            "remove a file": f"os.unlink({str(secret)!r})",
            "rename a file": f"os.rename({str(secret)!r}, {str(secret)!r} + 'x')",
            "list a folder": "os.listdir('/')",
            "see a path": f"os.stat({str(secret)!r}).st_size",
            "a shell": "subprocess.run(['/bin/true'])",
            "system": "{0: 'done'}[os.system('true')]",
            "exec": "os.execv('/bin/true', ['true'])",
            "fork": "os.fork()",
            "thread": "threading.Thread(target=print).start()",
            "kill the parent": f"os.kill({parent}, 0)",
            "new code": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
            "memfd": "os.memfd_create('x')",
            "pipe": "os.pipe()",
            "duplicate": "os.dup(1)",
            "a great deal of memory": "len(bytearray(4 << 30))",
            "a great file": "os.ftruncate(int(sys.argv[2]), 4 << 20)",
        }
        numbers = {"ptrace": 101, "io_uring_setup": 425, "process_vm_readv": 310, "pidfd_getfd": 438, "prctl": 157}
        if os.uname().machine == "x86_64":
            tries |= {name: f"call({number})" for name, number in numbers.items()}
        source = write_hostile(tmp_path / "pytorch_model.bin", code=attempts(tries))

        found = convert(source, target=tmp_path / "out", name=source.name, child=UNGUARDED)

        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert found.report.dropped_count == len(tries)
    outcomes = dict(item.split(": ", 1) for item in (*found.report.dropped, *found.report.tied))
    otherwise = {"look up a name": "gaierror", "system": "KeyError", "thread": "RuntimeError"}
    otherwise |= {"a great deal of memory": "MemoryError", "a great file": "OSError"}
    assert outcomes == {what: otherwise.get(what, "PermissionError") for what in tries}
    assert secret.read_text() == "hf_secret"


def test_the_child_sees_no_token_and_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy.example")
    source = tmp_path / "pytorch_model.bin"
    source.write_bytes(b"x")
    code = (
        "import json, os, sys; out = int(sys.argv[2]); os.write(out, (2).to_bytes(8, 'little') + b'{}');"
        "print(json.dumps({'tensors': 1, 'dropped': sorted(os.environ), 'droppedCount': 1}))"
    )
    found = convert(source, target=tmp_path / "out", name=source.name, child=inline(code))
    assert set(found.report.dropped) <= {
        "CUDA_VISIBLE_DEVICES",
        "LC_ALL",
        "LC_CTYPE",
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "PATH",
        "PYTHONPATH",
    }


def test_a_child_that_does_not_end_is_killed_at_its_deadline(tmp_path: Path) -> None:
    source = tmp_path / "pytorch_model.bin"
    source.write_bytes(b"x")
    endless = inline("import os, threading; os.close(1); os.close(2); threading.Event().wait()")
    assert "took more than" in refusal_of(source, child=endless, deadline_seconds=0.5).message


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "Give the Job more memory"),
        ("import sys; sys.exit('broken import')", "no report"),
        ("print('{}')", "no report"),
        ("print('[' * 10_000_000)", "not converted"),
        ("print('{\"tensors\": 1}')", "expected a safetensors header"),
    ],
)
def test_a_child_that_lies_or_dies_is_refused(tmp_path: Path, code: str, said: str) -> None:
    source = tmp_path / "pytorch_model.bin"
    source.write_bytes(b"x")
    assert said in refusal_of(source, child=inline(code)).message


def test_words_of_the_pickle_come_quoted(tmp_path: Path) -> None:
    source = tmp_path / "pytorch_model.bin"
    source.write_bytes(b"x")
    report = json.dumps({"problem": "NoStateDict", "detail": "a\nb\u001b[2J\u202e"})
    message = refusal_of(source, child=inline(f"print({report!r})")).message
    assert r'"a\nb\x1b[2J\u202e"' in message


def test_without_libseccomp_nothing_is_read(tmp_path: Path) -> None:
    source = tmp_path / "pytorch_model.bin"
    torch.save({"weight": torch.ones(1)}, source)
    without = inline(
        "import sys; sys.modules['pyseccomp'] = None\nfrom embedding_runtime.conversion.child import main\nmain()"
    )
    message = refusal_of(source, child=without).message
    assert "only read by a process that is shut in" in message
    assert "libseccomp" in message


def test_a_filter_that_is_not_enforced_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "pytorch_model.bin"
    source.write_bytes(b"x")
    unenforced = inline(
        "import pyseccomp\npyseccomp.SyscallFilter.load = lambda self: None\n"
        "from embedding_runtime.conversion.report import ChildReport\n"
        "from embedding_runtime.conversion.sandbox import Unprotected, shut_in\n"
        "try:\n"
        "    shut_in(keep=(0, 1, 2), memory_bytes=1 << 30, file_bytes=1 << 20, cpu_seconds=60)\n"
        "except Unprotected as error:\n"
        "    print(ChildReport(problem='Unprotected', detail=error.message).to_json().decode())\n"
    )
    assert "not enforced: a socket could be opened" in refusal_of(source, child=unenforced).message
