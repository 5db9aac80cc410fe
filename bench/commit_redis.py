"""redis-server beside commits: how long it pauses for a snapshot, and what its log costs."""

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import time

import commit_measures
import programs

SERVER = "redis-server"


def missing(options):
    if "redis" in options.only and shutil.which(SERVER) is None:
        yield f"left out: {SERVER} (not installed)"


class Client:
    """Speaks its protocol, one call at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        parts = [str(word).encode() for word in words]
        self.socket.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        )
        return self._answer()

    def _answer(self):
        line = self.file.readline().rstrip()
        if line.startswith(b"-") or not line:
            raise programs.Failed(f"{SERVER}: {line.decode()}")
        if not line.startswith(b"$"):
            return line[1:].decode()
        size = int(line[1:])
        return self.file.read(size + 2)[:-2].decode() if size >= 0 else None

    def told(self, section, name):
        lines = self.call("info", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)[name]


@contextlib.contextmanager
def _server(folder):
    command = [SERVER, "--port", "0", "--unixsocket", "socket", "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"]
    # A socket's path is short, and that of a folder may be long.
    short = os.open(folder, os.O_PATH)
    try:
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            try:
                yield _connect(process, f"/proc/self/fd/{short}/socket")
            finally:
                process.kill()
    finally:
        os.close(short)


def _connect(process, path):
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return Client(path)
        time.sleep(0.01)
    raise programs.Failed(f"{SERVER}: ended with status {process.returncode}")


def _longest_pause_us(client):
    """Of answers while a snapshot is written."""
    longest = 0
    begin = time.perf_counter_ns()
    client.call("bgsave")
    while True:
        now = time.perf_counter_ns()
        longest = max(longest, now - begin)
        if client.told("persistence", "rdb_bgsave_in_progress") == "0":
            break
        begin = time.perf_counter_ns()
        client.call("ping")
    if client.told("persistence", "rdb_last_bgsave_status") != "ok":
        raise programs.Failed(f"{SERVER}: the snapshot failed")
    return longest / 1000


def _update_us(client, updates, keys):
    took = []
    for number in range(updates):
        begin = time.perf_counter_ns()
        client.call("set", f"key:{number * 7919 % keys}", f"{number:0100d}")
        took.append(time.perf_counter_ns() - begin)
    return statistics.median(took) / 1000


def rows(options):
    if shutil.which(SERVER) is None:
        return
    keys = 1000 if options.short else 5_000_000
    with programs.scratch_folder(options.folder) as folder, _server(folder) as client:
        client.call("debug", "populate", keys, "key", 100)
        used_mib = max(2, int(client.told("memory", "used_memory_rss")) >> 20)
        pause_us = _longest_pause_us(client)
        fork_us = float(client.told("stats", "latest_fork_usec"))
        update_us = _update_us(client, 20 if options.short else 1000, keys)
        client.close()
    found = commit_measures.updates_by(options, options.folder, ("morsel",), updates=1000)
    update_of_ours = found["morsel"]["median_ns"] / 1000
    ours = commit_measures.run(
        options, "stall", size_mib=used_mib & ~1, pages=256, commits=3, warm=1
    )
    forked = commit_measures.run(options, "fork", size_mib=used_mib)
    size = "" if options.short else f", {used_mib / 1024:.1f} GiB"
    us = {"unit": "us"}
    row = us | {"case": "a small update, redis-server, AOF always", "ours": update_us}
    yield row | {"over": "morsel", "theirs": update_of_ours}
    yield us | {"case": f"its pause for BGSAVE{size}", "ours": pause_us}
    yield us | {"case": f"of which fork(), as it tells{size}", "ours": fork_us}
    for pages in ("huge", "small"):
        case = f"fork() of as much memory, {pages} pages"
        yield us | {"case": case, "ours": forked[f"{pages}_ns"] / 1000}
    case = "a morsel as large: others wait, 1 MiB changed"
    yield us | {"case": case, "ours": ours["stall_ns"] / 1000}
