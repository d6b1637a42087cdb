"""A published store on a web server answers as the store itself."""

import http.server
import random
import re
import threading

import pytest

import vestore
from conftest import command


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, with ranges, which the server of the library lacks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            with open(self.translate_path(self.path), "rb") as file:
                content = file.read()
        except OSError:
            self.send_error(404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            content = content[first : last + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(scored, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    command("publish", scored, folder / "published")

    def handler(*words):
        return Handler(*words, directory=folder)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("VESTORE_CACHE", str(folder / "cache"))
        yield f"http://127.0.0.1:{server.server_port}/published"
    server.shutdown()


def test_an_address_answers_as_the_store(scored, address):
    here, there = vestore.open(scored), vestore.open(address)
    assert there.path == address
    assert there.info()["tracks"] == here.info()["tracks"]
    choice = random.Random(1)
    for form in ("query", "embeddings", "ablation", "effects", "gene_effects"):
        track = {"embeddings": "llr", "ablation": "llr", "query": None}.get(form, "effects")
        for _ in range(4):
            start = choice.randint(2380, 2460)
            regions = [f"1:{start}-{start + choice.randint(0, 40)}", "HLA-A*01:01:1001-1020"]
            asked = [getattr(store, form)(regions, tracks=track).to_arrow() for store in (here, there)]
            assert asked[0].equals(asked[1]), (form, regions)
    assert there.query(where="llr < 0", sort="-llr", limit=5).to_arrow().num_rows == 5


def test_errors_have_a_remedy(address):
    with pytest.raises(vestore.VestoreError, match="no published store at .* publish one with"):
        vestore.open(address + "/nothing")
    with pytest.raises(vestore.VestoreError, match="expected http:// or https://"):
        vestore.open("s3://bucket/store")
    with pytest.raises(vestore.VestoreError, match="SQL reads files of this machine"):
        vestore.open(address).sql("select 1")
