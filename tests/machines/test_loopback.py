"""Answers of a server that is killed while it gives them: each is an OSError, whichever byte was the last."""

import contextlib
import socket
import threading
import urllib.error

import pytest
from tilework.machines.process.loopback import ADDRESS, get, get_json, open_url
from tilework.machines.queue_client import QueueClient, RunRefusedError

BODY = b'{"history": {}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + BODY + b"\r\n0\r\n\r\n"


@contextlib.contextmanager
def answers(said):
    """The address of a server that says `said` to each request and ends the connection."""
    with socket.create_server((ADDRESS, 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(1 << 16)
                        connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://{ADDRESS}:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def read_slowly(address):
    with open_url(address) as stream:
        return b"".join(iter(lambda: stream.read(4), b""))


@pytest.mark.parametrize("read", [get, read_slowly, get_json])
@pytest.mark.parametrize("whole", [ANSWER, CHUNKED])
def test_an_answer_that_breaks_off_at_any_byte_is_a_broken_connection_and_never_a_shorter_answer(whole, read):
    with answers(whole) as address:
        assert read(address) in (BODY, {"history": {}})
    # The 0 that ends a chunked answer says that the body is whole, whatever follows.
    for length in range(len(whole) - (4 if whole is CHUNKED else 0)):
        with answers(whole[:length]) as address, pytest.raises((ConnectionError, urllib.error.URLError)):
            read(address)


def test_a_refusal_that_breaks_off_is_a_refusal():
    refused = ANSWER.replace(b"200 OK", b"400 Bad Request")
    with answers(refused[:-5]) as address, pytest.raises(RunRefusedError, match="status 400"):
        QueueClient(address).submit({})
