"""The programs of Debian that are run under others' malloc, and what each is given to do."""

import dataclasses
import hashlib
import os
import pathlib
import subprocess
import time

import programs

SQL = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO item SELECT i, printf('name-%d-%s', i * 7919 % 10007, hex(i * 31)), i * 0.5 FROM n;
CREATE INDEX by_name ON item(name);
UPDATE item SET name = upper(name) || '-' || id WHERE id % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
CREATE TABLE sums AS SELECT substr(name, 1, 8) AS prefix, sum(value) AS value FROM item GROUP BY 1;
SELECT count(*), sum(length(group_name)) FROM
  (SELECT group_concat(name) AS group_name FROM item GROUP BY id % 1000);
SELECT count(*), max(value) FROM sums;
"""

PYTHON = """
import json, sys
count = int(sys.argv[1])
class Node:
    def __init__(self, name, children):
        self.name, self.children = name, children
def tree(depth, name):
    return Node(name, [tree(depth - 1, f"{name}.{i}") for i in range(4)] if depth else [])
def names(node):
    yield node.name
    for child in node.children:
        yield from names(child)
words = [f"word-{i * 7919 % 10007}-{i % 13}" for i in range(count)]
places = {}
for place, word in enumerate(words):
    places.setdefault(word, []).append(place)
again = json.loads(json.dumps(places))
text = " ".join(sorted(again, key=lambda word: (len(again[word]), word)))
print(len(text), sum(map(len, text.split("-"))), sum(map(len, names(tree(7, "root")))))
"""

PERL = """
use strict; use warnings;
my ($count) = @ARGV;
my (%places, @lines);
push @lines, join(" ", map { "word" . ($_ * 7919 % 10007) } $_ .. $_ + 9) for 1 .. $count;
for my $line (@lines) { push @{$places{$_}}, $line for split / /, $line; }
my $length = 0;
for my $word (sort keys %places) {
  (my $joined = join ",", @{$places{$word}}) =~ s/word(\\d)/$1w/g;
  $length += length $joined;
}
print scalar(keys %places), " $length\\n";
"""

LUA = """
local count = tonumber(arg[1])
local function tree(depth)
  if depth == 0 then return {} end
  return {tree(depth - 1), tree(depth - 1)}
end
local function nodes(t) return t[1] and 1 + nodes(t[1]) + nodes(t[2]) or 1 end
local sum, words = 0, {}
for i = 1, count // 1000 do sum = sum + nodes(tree(12)) end
for i = 1, count do words[#words + 1] = "word-" .. (i * 7919 % 10007) .. "-" .. i end
table.sort(words)
print(sum, #words, #table.concat(words, " "))
"""

CPP = """
#include <functional>
#include <map>
#if DEPTH > 1
#include <iostream>
#include <regex>
#endif
#include <string>
#include <unordered_map>
#include <vector>
template <int kDepth> struct Tables {
  std::map<std::string, std::vector<int>> sorted;
  std::unordered_map<int, std::function<int(int)>> calls;
  Tables<kDepth - 1> inner;
  int Sum(const std::string& text) {
    calls[kDepth] = [this](int value) { return value + static_cast<int>(sorted.size()); };
    sorted[text].push_back(kDepth);
    return calls[kDepth](inner.Sum(text + std::to_string(kDepth)));
  }
};
template <> struct Tables<0> { int Sum(const std::string& text) { return text.size(); } };
int main(int, char** argv) {
#if DEPTH > 1
  std::cout << std::regex_replace(argv[0], std::regex("a(b+)"), "$1");
#endif
  return Tables<DEPTH>().Sum(argv[0]);
}
"""


@dataclasses.dataclass(frozen=True)
class Use:
    """What a run of a program took, and what it answered."""

    cpu_seconds: float
    peak_mib: float  # of the largest of its processes, as getrusage(2) counts it
    answer: str


# Settings of these are nobody's here.
_OTHERS = ("PYTHON", "MALLOC_", "MIMALLOC_", "MORSEL_")


def _environment(folder):
    found = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    # TMPDIR is for temporary files, and for the morsel of each process. Pages of hugetlb, where
    # somebody has reserved some, count as nobody's resident memory.
    settings = {"TMPDIR": folder, "PYTHONMALLOC": "malloc", "MORSEL_FRAMES": "anonymous"}
    return found | settings


class _Started:
    """A process with a malloc that is preloaded."""

    def __init__(self, command, preload, folder, **options):
        self.command = " ".join(command)
        self.errors = pathlib.Path(folder, "errors")
        self.usage = pathlib.Path(folder, "usage")
        measured = [programs.HERE / "malloc" / "measured", self.usage, str(preload), *command]
        with open(self.errors, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                measured, env=_environment(folder), cwd=folder, stderr=file, **options
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()  # it is not left behind, nor is what it has started
        self.process.wait()

    def ended(self):
        """Waits for it and for all that it waits for; (CPU seconds, peak in MiB)."""
        status = self.process.wait()
        text = self.errors.read_text(encoding="utf-8", errors="replace")
        # The loader goes on without what it cannot load.
        if status != 0 or "cannot be preloaded" in text:
            raise programs.Failed(f"{self.command}: status {status}: {text.strip()}")
        cpu_seconds, peak_kib = self.usage.read_text(encoding="utf-8").split()
        return float(cpu_seconds), int(peak_kib) / 1024


def _run(command, preload, folder, text=""):
    script = os.path.join(folder, "input")
    answer = os.path.join(folder, "answer")
    pathlib.Path(script).write_text(text, encoding="utf-8")
    with open(script, "rb") as given, open(answer, "wb") as taken:
        with _Started(command, preload, folder, stdin=given, stdout=taken) as started:
            cpu_seconds, peak_mib = started.ended()
    digest = hashlib.sha256(pathlib.Path(answer).read_bytes()).hexdigest()
    return Use(cpu_seconds, peak_mib, digest)


def _sqlite3(preload, folder, scale):
    count = max(int(400_000 * scale), 1000)
    return _run(["/usr/bin/sqlite3", ":memory:"], preload, folder, SQL.format(count=count))


def _python3(preload, folder, scale):
    count = str(int(600_000 * scale))
    return _run(["/usr/bin/python3", "-s", "-S", "-", count], preload, folder, PYTHON)


def _perl(preload, folder, scale):
    return _run(["/usr/bin/perl", "-", str(int(40_000 * scale))], preload, folder, PERL)


def _lua(preload, folder, scale):
    return _run(["/usr/bin/lua5.4", "-", str(int(200_000 * scale))], preload, folder, LUA)


def _cpp(preload, folder, scale):
    depth = max(int(25 * scale), 1)
    command = ["/usr/bin/g++", "-x", "c++", "-O1", "-S", f"-DDEPTH={depth}", "-o", "-", "-"]
    return _run(command, preload, folder, CPP)


def _redis(preload, folder, scale):
    """The server's part; the clients have their own malloc."""
    socket = os.path.join(folder, "socket")
    server = ["/usr/bin/redis-server", "--port", "0", "--unixsocket", socket]
    server += ["--save", "", "--appendonly", "no", "--dir", folder]
    client = ["-s", socket]
    load = ["/usr/bin/redis-benchmark", *client, "-q", "-P", "16", "-r", "100000", "-d", "200"]
    load += ["-n", str(max(int(500_000 * scale), 100)), "-t", "set,get,lpush,lpop,sadd,hset"]
    with _Started(server, preload, folder, stdout=subprocess.DEVNULL) as started:
        deadline = time.monotonic() + 60
        while not os.path.exists(socket) and started.process.poll() is None:
            if time.monotonic() > deadline:
                raise programs.Failed(f"{' '.join(server)}: no socket after 60 s")
            time.sleep(0.01)
        # Each line has a test's name and its rate; the last state of each line counts.
        lines = programs.run(load).replace("\r", "\n").splitlines()
        tests = [line.partition(":")[0] for line in lines if "requests per second" in line]
        programs.run(["/usr/bin/redis-cli", *client, "shutdown", "nosave"])
        cpu_seconds, peak_mib = started.ended()
    return Use(cpu_seconds, peak_mib, ",".join(tests))


@dataclasses.dataclass(frozen=True)
class Program:
    """A program of Debian; run(preload, folder, scale) answers what it used."""

    run: object
    file: str
    package: str

    def is_installed(self):
        return os.access(self.file, os.X_OK)

    def version(self):
        """Of its package; nothing where packages are not Debian's."""
        try:
            return programs.run(["dpkg-query", "-W", "-f=${Version}", self.package])
        except (FileNotFoundError, programs.Failed):
            return ""


PROGRAMS = {
    "redis-benchmark": Program(_redis, "/usr/bin/redis-benchmark", "redis-server"),
    "sqlite3": Program(_sqlite3, "/usr/bin/sqlite3", "sqlite3"),
    "python3": Program(_python3, "/usr/bin/python3", "python3"),
    "perl": Program(_perl, "/usr/bin/perl", "perl"),
    "lua": Program(_lua, "/usr/bin/lua5.4", "lua5.4"),
    "g++": Program(_cpp, "/usr/bin/g++", "g++"),
}
