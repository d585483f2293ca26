"""Sends the same spans to a server of spans, or as many runs to a server of runs, and kills it in the midst of them.

peers.py NAME COMMAND…   NAME: ours, phoenix or prefect; COMMAND starts the server on the folder and port in FOLDER and PORT.
Prints one line of JSON: how many were acknowledged per second, and what of the acknowledged is there after kill -9.
"""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

PORT, FOLDER = int(os.environ["PORT"]), os.environ["FOLDER"]
SENDERS = 4
SPANS = 200  # of a trace, and of a request
REQUESTS = 400
SECONDS = 10
KILL_AFTER = 1.5
PAUSE = 0.02


def trace(number):
    """A trace of 200 spans as OTLP, 5 % failed."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in (("service.name", "nightly"), ("host.name", "build-7")):
        attribute = resource.resource.attributes.add()
        attribute.key, attribute.value.string_value = key, value
    scope = resource.scope_spans.add()
    began = time.time_ns()
    for index in range(SPANS):
        span = scope.spans.add()
        span.trace_id = (number + 1).to_bytes(16, "big")
        span.span_id = (number * SPANS + index + 1).to_bytes(8, "big")
        if index:
            span.parent_span_id = (number * SPANS + index // 10 + 1).to_bytes(8, "big")
        span.name, span.kind = f"step {index % 20}", 1
        span.start_time_unix_nano, span.end_time_unix_nano = began + index * 1000, began + index * 1000 + 500_000
        if index % 20 == 7:
            span.status.code, span.status.message = 2, f"no row for order {number}"
    return "/v1/traces", "application/x-protobuf", request.SerializeToString(), SPANS


def task_run(number):
    """A finished run of a task."""
    run = {"task_key": f"step {number % 20}", "dynamic_key": str(number), "name": f"run {number}", "flow_run_id": None}
    run["state"] = {"type": "FAILED" if number % 20 == 7 else "COMPLETED"}
    return "/api/task_runs/", "application/json", json.dumps(run).encode(), 1


def stored(name):
    """How many spans or runs the server's database holds, read after it died, or by the server that was started on it again."""
    if name == "ours":
        with running():
            status = json.loads(get("/api/v1/status"))
            return sum(status["processes"].values())
    file, table = {"phoenix": ("phoenix.db", "spans"), "prefect": ("prefect.db", "task_run")}[name]
    with sqlite3.connect(os.path.join(FOLDER, file)) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("GET", path)
    return connection.getresponse().read()


class running:
    """The server, from when it answers until it is killed."""

    def __enter__(self):
        self.process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(600):
            try:
                get("/")
                return self
            except OSError:
                time.sleep(0.2)
        self.kill()
        sys.exit(f"{sys.argv[2]} did not start")

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


class Load:
    """Requests that are sent over a few connections until there are none, the time is up or the server is killed."""

    def __init__(self, requests):
        self.requests, self.lock, self.acknowledged, self.sent, self.is_over = iter(requests), threading.Lock(), 0, 0, False
        self.wrong = set()
        self.threads = [threading.Thread(target=self.send) for _ in range(SENDERS)]

    def send(self):
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        while True:
            with self.lock:
                request = next(self.requests, None)
                if request is None:
                    return
                self.sent += request[3]
            path, kind, body, count = request
            # What is refused for now, or breaks off, is sent again, as exporters do.
            while (status := self.status_of(connection, path, kind, body)) in (429, 503, None):
                if self.is_over or time.monotonic() > self.until:
                    return
                connection.close()
                time.sleep(PAUSE)
            with self.lock:
                if status < 300:
                    self.acknowledged += count
                else:
                    self.wrong.add(status)
            if self.is_over or time.monotonic() > self.until:
                return

    def status_of(self, connection, path, kind, body):
        try:
            connection.request("POST", path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return None

    def begin(self, seconds):
        self.until = time.monotonic() + seconds
        for thread in self.threads:
            thread.start()

    def end(self):
        for thread in self.threads:
            thread.join()
        if self.wrong:
            sys.exit(f"answered with {self.wrong}")


def main():
    # So that the server ends with whoever stops this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    name = sys.argv[1]
    make = task_run if name == "prefect" else trace
    count = REQUESTS if make is trace else 20 * REQUESTS
    requests = [make(number) for number in range(2 * count)]
    with running() as server:
        first = Load(requests[:count])
        begin = time.monotonic()
        first.begin(SECONDS)
        first.end()
        seconds = time.monotonic() - begin
        last = Load(requests[count:])
        last.begin(SECONDS)
        time.sleep(min(KILL_AFTER, seconds / 4))
        server.kill()
        last.is_over = True
        last.end()
    acknowledged = first.acknowledged + last.acknowledged
    result = {"name": name, "per_second": first.acknowledged / seconds, "acknowledged": acknowledged, "stored": stored(name)}
    print(json.dumps(result | {"sent": first.sent + last.sent}))


main()
