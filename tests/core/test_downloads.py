from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cnnkit.core import downloads
from cnnkit.core.downloads import fetch
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress

CONTENT = random.Random(0).randbytes(3 * downloads.BLOCK + 17)
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HINT = "take another"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.released = threading.Event()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path in ("/cut", "/silent"):
            self.wfile.write(CONTENT[: len(CONTENT) // 2])
            self.wfile.flush()
            if self.path == "/silent":
                self.server.released.wait(30)
        else:
            self.wfile.write(CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.released.set()
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "models" / "weights.h5"


def failure(url, path, digest=SHA256, progress=None):
    """The one line that is told, where nothing is left behind."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DataError) as caught:
        fetch(url, path, digest, progress or Progress(), HINT)
    assert (path.read_bytes() if path.is_file() else None) == before
    left = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    assert left == ([path.name] if before else [])
    told = str(caught.value)
    assert "\n" not in told
    assert url in told and f"put the file at {path} by hand" in told and HINT in told
    return told


@pytest.mark.parametrize("digest", [MD5, SHA256, SHA256.upper(), None])
def test_a_file_comes_whole_and_is_asked_for_once(server, path, digest):
    for _ in range(2):
        assert fetch(server.url("a"), path, digest, Progress(), HINT) == path
        assert path.read_bytes() == CONTENT
    assert server.asked == ["/a"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_without_a_length_comes_whole(server, path):
    fetch(server.url("endless"), path, MD5, Progress(), HINT)
    assert path.read_bytes() == CONTENT


def test_progress_hears_of_every_byte(server, path):
    heard = []

    class Watching(Progress):
        @contextmanager
        def task(self, what, total):
            heard.append((what, total))
            yield heard.append

    fetch(server.url("a"), path, MD5, Watching(), HINT)
    assert heard[0] == ("downloading weights.h5", len(CONTENT))
    assert sum(heard[1:]) == len(CONTENT)


def test_a_file_with_another_checksum_is_fetched_anew(server, path):
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    fetch(server.url("a"), path, SHA256, Progress(), HINT)
    assert path.read_bytes() == CONTENT


def test_a_connection_that_breaks(server, path):
    assert f"broke after {len(CONTENT) // 2:,} of {len(CONTENT):,} bytes" in failure(server.url("cut"), path)
    assert "broke" in failure(server.url("cut"), path, digest=None)


def test_a_server_that_falls_silent(server, path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    assert "says nothing for 0.2 seconds" in failure(server.url("silent"), path)


def test_no_such_file_on_the_server(server, path):
    assert "404" in failure(server.url("missing"), path)


def test_another_content_than_the_published(server, path):
    wrong = "0" * 32
    told = failure(server.url("a"), path, digest=wrong)
    assert f"MD5 {MD5}" in told and f"(MD5 {wrong})" in told


def test_no_server(path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        assert "refused" in failure(url, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"damaged")
        assert "the file that is there has another checksum" in failure(url, path)


def test_no_such_host(path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "Name or service not known" in failure("http://nowhere.invalid/a", path)


def test_a_full_disk(server, path):
    class Full(Progress):
        @contextmanager
        def task(self, what, total):
            def done(size):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            yield done

    assert os.strerror(errno.ENOSPC) in failure(server.url("a"), path, progress=Full())


def test_a_folder_that_can_not_be_made(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't be fetched"):
        fetch(server.url("a"), tmp_path / "file" / "weights.h5", MD5, Progress(), HINT)
    assert server.asked == []


def test_a_folder_in_the_place_of_the_file(server, path):
    path.mkdir(parents=True)
    with pytest.raises(DataError, match="can't be fetched"):
        fetch(server.url("a"), path, None, Progress(), HINT)
    assert list(path.parent.iterdir()) == [path]


def test_an_interruption_leaves_nothing(server, path):
    class Interrupting(Progress):
        @contextmanager
        def task(self, what, total):
            def done(size):
                raise KeyboardInterrupt

            yield done

    with pytest.raises(KeyboardInterrupt):
        fetch(server.url("a"), path, MD5, Interrupting(), HINT)
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_leaves_no_half_file_under_the_name(server, path):
    arguments = f"{server.url('silent')!r}, Path({str(path)!r}), None, Progress(), ''"
    program = (
        "from pathlib import Path; from cnnkit.core.downloads import fetch; from cnnkit.core.progress import Progress;"
        f"fetch({arguments})"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    waited = time.monotonic() + 300
    while not (path.parent.is_dir() and list(path.parent.iterdir())) and time.monotonic() < waited:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [left] = path.parent.iterdir()
    assert left.name.startswith(".writing-")
    fetch(server.url("a"), path, MD5, Progress(), HINT)
    assert path.read_bytes() == CONTENT
