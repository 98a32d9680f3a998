"""The explorer's server in a process of its own."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hueprobe.errors import InputError
from hueprobe.explorer.server import serve
from tests.explorer.served import (
    exploration,
    made_memory,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return made_memory(tmp_path_factory.mktemp("explored"))


SERVE = """
import sys
from pathlib import Path
from hueprobe import open_memory
from hueprobe.explorer.server import serve
from tests.explorer.served import exploration
serve(exploration(open_memory(sys.argv[1])), port=0, ready=lambda url: print(url, flush=True),
      cache_folder=Path(sys.argv[2]))
print("ended", flush=True)
"""


class Running:
    """A server in another process."""

    def __init__(self, memory, cache):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVE, memory.path, cache],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.url = self.process.stdout.readline().strip()
        self.host, self.base = urlsplit(self.url).netloc, urlsplit(self.url).path

    def get(self, path):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def send(self, data, *, wait=True):
        """Send bytes as they are, and return the answer, or leave."""
        with socket.create_connection(("127.0.0.1", int(self.host.split(":")[1])), timeout=60) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b"")) if wait else b""

    def end(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def state(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines())
        return int(values["VmRSS"].split()[0]) / 1024, int(values["Threads"])


@pytest.fixture
def running(memory, tmp_path):
    server = Running(memory, tmp_path / "cache")
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.mark.slow
def test_a_real_server_answers_refuses_and_ends_with_ctrl_c(memory, running):
    assert running.url.startswith("http://127.0.0.1:") and len(running.base) > 30
    assert running.get(running.base)[0] == 200
    assert running.get(f"{running.base}query?memory=0&row=1")[0] == 200
    assert running.get("/")[0] == 403
    end = f" HTTP/1.1\r\nHost: {running.host}\r\nConnection: close\r\n"
    for path in ("../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "..%2f..%2f..%2fetc/passwd"):
        said = running.send(f"GET {running.base}{path}{end}\r\n".encode())
        assert said.startswith(b"HTTP/1.1 404") and b"root:" not in said
    for nonsense in (
        b"\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        f"GET {running.base}{'x' * 100_000}{end}\r\n".encode(),
    ):
        running.send(nonsense)
    upload = (
        f"POST {running.base}upload?memory=0{end}Origin: http://{running.host}\r\nContent-Type: image/png\r\n"
    )
    running.send(f"{upload}Content-Length: 100000\r\n\r\nabc".encode(), wait=False)  # a client that leaves
    running.send(f"GET {running.base}query?memory=0&row=2{end}\r\n".encode(), wait=False)
    too_large = running.send(f"{upload}Content-Length: 99000000000\r\n\r\n".encode())
    assert too_large.startswith(b"HTTP/1.1 413")
    with socket.socket() as other:  # nobody listens outside the loopback interface
        other.settimeout(2)
        address = socket.gethostbyname(socket.gethostname())
        if not address.startswith("127."):
            assert other.connect_ex((address, int(running.host.split(":")[1]))) != 0
    assert running.get(f"{running.base}query?memory=0&row=1")[0] == 200
    with socket.create_connection(("127.0.0.1", int(running.host.split(":")[1]))):  # idle when it ends
        assert running.end() == (0, "ended\n", "")


@pytest.mark.slow
def test_a_thousand_requests_leave_nothing_behind(running):
    client = http.client.HTTPConnection(running.host, timeout=60)
    upload = (ROOT / "tests" / "explorer" / "served.py").read_bytes()
    paths = (
        "", "query?memory=0&row=%d", "thumbnail?memory=0&kind=memory&row=%d", "predictions?memory=0",
        "memory-image?memory=0&row=%d", "hubs?memory=0", "reverse?memory=0&id=%d", "nothing",
    )  # fmt: skip

    def ask(n):
        for i in range(n):
            path = paths[i % len(paths)]
            client.request("GET", running.base + (path % (i % 8) if "%" in path else path))
            response = client.getresponse()
            response.read()
            assert response.status == (404 if path == "nothing" else 200)
            if i % 10 == 0:
                headers = {"Origin": f"http://{running.host}", "Content-Type": "image/png"}
                client.request("POST", f"{running.base}upload?memory=0", upload, headers)
                response = client.getresponse()
                assert response.status == 422 and b"known format" in response.read()
                running.send(f"GET {running.base}query?memory=0&row=1 HTTP/1.1\r\n".encode(), wait=False)

    ask(400)  # until pools and caches are full
    megabytes, threads = running.state()
    ask(1000)
    after, threads_after = running.state()
    client.close()
    assert after - megabytes < 8, (megabytes, after)
    assert threads_after <= threads + 2
    assert running.end() == (0, "ended\n", "")


def test_a_port_that_is_taken_is_told(memory):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used: .*; give another port"):
            serve(exploration(memory), port=port, ready=lambda url: pytest.fail(url))
    with pytest.raises(InputError, match="port 70000 cannot be used"):
        serve(exploration(memory), port=70000, ready=lambda url: pytest.fail(url))


@pytest.mark.parametrize("name", ["uvicorn", "starlette"])
def test_without_the_extra_the_server_says_what_to_install(name):
    code = f"import sys; sys.modules[{name!r}] = None; import hueprobe.explorer.server"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert shown.returncode == 1
    last = shown.stderr.splitlines()[-1]
    assert f"MissingDependencyError: the explorer's server needs {name}" in last
    assert "pip install 'hueprobe[explore]'" in last
