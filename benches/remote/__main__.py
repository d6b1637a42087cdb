"""`make bench-remote`: one locus and 10 kb of a published store over http, beside tabix on the same rows.

    python benches/remote [--bases N] [--delay MS]

Needs nginx, bgzip and tabix, and for object storage `pip install -r benches/remote/requirements.txt`. Every SNV of a seeded
contig has one score in one track and three in another. A proxy counts requests and bytes, and adds the delay to each
connection and each answer, as a distant server would. Medians of 11 places, each in a fresh process; the catalog and the
index of tabix are cached, as they are after the first query, unless the line says otherwise.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent / "target/release"
PLACES = 11


class Proxy:
    """Forwards connections to a port, counts what passes, and delays it."""

    def __init__(self, port, milliseconds):
        self.to, self.delay = port, milliseconds / 1e3
        self.requests = self.bytes = self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        self.connections += 1
        server = socket.create_connection(("127.0.0.1", self.to))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(self.delay)
        threading.Thread(target=self.answer, args=(server, client), daemon=True).start()
        while block := receive(client):
            # Requests are small, and one is answered before the next on its connection.
            self.requests += block.count(b"GET ") + block.count(b"HEAD ")
            time.sleep(self.delay)
            server.sendall(block)
        close(server)

    def answer(self, server, client):
        while block := receive(server):
            self.bytes += len(block)
            try:
                client.sendall(block)
            except OSError:
                break
        close(client)


def receive(end):
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def close(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def make(folder, bases):
    """A store published in `published`, and its tracks as `one.tsv.gz` and `three.tsv.gz`, with tabix indexes."""
    choice = random.Random(1)
    contig = "".join(choice.choices("ACGT", k=bases))
    (folder / "genome.fa").write_text(f">17\n{contig}\n")
    for name, columns in (("one", ["score"]), ("three", ["llr", "llr_forward", "llr_reverse"])):
        with open(folder / f"{name}.tsv", "w") as file:
            file.write("\t".join(["contig", "position", "reference", "alternate", *columns]) + "\n")
            for position, base in enumerate(contig, 1):
                for alternate in "ACGT".replace(base, ""):
                    scores = [repr(single(choice.gauss(-2, 2))) for _ in columns]
                    file.write("\t".join(["17", str(position), base, alternate, *scores]) + "\n")
    program("init", folder / "store", "--reference", folder / "genome.fa")
    for name in ("one", "three"):
        program("import", folder / "store", "--track", name, folder / f"{name}.tsv", "--quiet")
        subprocess.run(["bgzip", folder / f"{name}.tsv"], check=True)
        subprocess.run(["tabix", "-s1", "-b2", "-e2", "-S1", folder / f"{name}.tsv.gz"], check=True)
    program("publish", folder / "store", folder / "published", "--quiet")


def single(number):
    """A number with the digits that float32 keeps."""
    return float(f"{number:.6g}")


def program(*words):
    environment = {**os.environ, "NO_PROXY": "*"}
    words = [ROOT / "vestore", *words]
    return subprocess.run(words, check=True, env=environment, capture_output=True).stdout.decode()


def nginx(folder):
    """Serves the folder with nginx; its port."""
    port = free_port()
    temporary = " ".join(f"{name}_temp_path {folder}/nginx;" for name in "client_body proxy fastcgi uwsgi scgi".split())
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} keepalive_requests 100000;\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    # The folder is this user's alone.
    words = ["nginx", "-c", folder / "nginx.conf", "-g", "user root;" if os.getuid() == 0 else ""]
    return port, subprocess.Popen(words, stderr=subprocess.DEVNULL)


def object_store(folder):
    """Serves what is published, and the files of tabix, from an S3 server in memory; its port."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)  # fmt: skip
    wait_for(port)
    import boto3

    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                          aws_access_key_id="x", aws_secret_access_key="x")  # fmt: skip
    client.create_bucket(Bucket="bucket", ACL="public-read")
    # In the order of names, so that `vestore.json` is last.
    files = sorted(path for path in (folder / "published").rglob("*") if path.is_file())
    for path in [*folder.glob("*.tsv.gz*"), *files]:
        client.upload_file(str(path), "bucket", str(path.relative_to(folder)), ExtraArgs={"ACL": "public-read"})
    return port, server


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"no server on port {port}")


def measured(proxy, run, places, before=lambda: None):
    """Medians of milliseconds, requests, bytes and connections, and what was printed."""
    figures, printed = [], []
    for place in places:
        before()
        proxy.requests = proxy.bytes = proxy.connections = 0
        started = time.perf_counter()
        printed.append(run(place))
        milliseconds = (time.perf_counter() - started) * 1e3
        figures.append((milliseconds, proxy.requests, proxy.bytes / 1e3, proxy.connections))
    return [statistics.median(column) for column in zip(*figures)], printed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bases", type=int, default=1_000_000)
    parser.add_argument("--delay", type=float, default=30)
    arguments = parser.parse_args()
    for name in ("nginx", "tabix", "bgzip"):
        if not shutil.which(name):
            sys.exit(f"{name} is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "cache").mkdir()
        os.environ["VESTORE_CACHE"] = str(folder / "cache")
        make(folder, arguments.bases)
        catalog = next((folder / "published").glob("catalog-*")).stat().st_size
        print(f"{arguments.bases * 3:,} rows, catalog {catalog / 1e3:.0f} kB")
        servers = {"nginx": (*nginx(folder), "")}
        try:
            servers["moto S3"] = (*object_store(folder), "bucket/")
        except ImportError:
            print("moto is not installed: object storage is not measured")
        print(f"{'server':8} {'delay':>6}  {'what':34} {'ms':>7} {'requests':>8} {'kB':>8} {'connections':>11}")
        try:
            for server, (port, _, prefix) in servers.items():
                wait_for(port)
                for delay in (0, arguments.delay):
                    compare(folder, server, port, prefix, delay, arguments.bases)
        finally:
            for _, process, _ in servers.values():
                process.terminate()
                process.wait()


def compare(folder, server, port, prefix, delay, bases):
    proxy = Proxy(port, delay)
    base = f"http://127.0.0.1:{proxy.port}/{prefix}"
    choice = random.Random(7)
    for track in ("one", "three"):
        for what, length in (("one locus", 1), ("10 kb", 10_000)):
            starts = [choice.randint(1, bases - length) for _ in range(PLACES)]
            places = [f"17:{start}-{start + length - 1}" for start in starts]

            def ours(place):
                return program("query", f"{base}published", place, "--track", track, "--format", "tsv")

            def peers(place):
                # Its index is kept in the folder that it runs in.
                words = ["tabix", f"{base}{track}.tsv.gz", place]
                return subprocess.run(words, check=True, cwd=folder / "cache", capture_output=True).stdout.decode()

            def forget():
                shutil.rmtree(folder / "cache/catalogs", ignore_errors=True)

            columns = f"{1 if track == 'one' else 3} column{'' if track == 'one' else 's'}"
            lines = {}
            if length == 1:
                lines[f"vestore, {what}, {columns}, first"] = measured(proxy, ours, places, forget)
            lines[f"vestore, {what}, {columns}"] = measured(proxy, ours, places)
            peers(places[0])
            lines[f"tabix, {what}, {columns}"] = measured(proxy, peers, places)
            answers = [rows(printed, 7 if name.startswith("vestore") else 4) for name, (_, printed) in lines.items()]
            assert all(answer == answers[0] for answer in answers) and answers[0], what
            for name, (figures, _) in lines.items():
                ms, requests, kilobytes, connections = figures
                print(f"{server:8} {delay:>3.0f} ms  {name:34} {ms:7.1f} {requests:8.0f} {kilobytes:8.0f} {connections:11.0f}",
                      flush=True)  # fmt: skip


def rows(printed, keys):
    """Variants with their scores, as numbers."""
    found = collections.Counter()
    for text in printed:
        for line in text.splitlines():
            cells = line.split("\t")
            if cells[0] != "contig":
                found[(*cells[:4], *(round(float(cell), 3) for cell in cells[keys:]))] += 1
    return found


if __name__ == "__main__":
    main()
