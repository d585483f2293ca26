"""Measures a program that records a cluster of Celery and answers as Flower: the real one, or ours.

flower.py rate BROKER URL PID TASKS RATE   four events of each task, as workers send them; RATE events a second, 0: as fast as possible
flower.py pages URL TASKS                  the first and the last page of tasks, and the metrics
flower.py visible BROKER URL TIMES         from the publication of an event until the task is found
flower.py count URL TASKS                  how many tasks are known
flower.py command URL TOKEN TIMES          from a command to a node until its reply; a node w1@bench must run
flower.py ready BROKER URL                 fails unless the program answers, and is subscribed to the events

Prints JSON. It imports no Celery: messages are made before they are sent, so that the sender is never the limit.
"""

import base64
import json
import sys
import time
import urllib.parse
import urllib.request
import uuid

import redis

# Events in a message, as a worker's buffer holds them, and messages that are made in advance.
BATCH, AHEAD = 24, 4_000
QUIET = 15


def get(url):
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.read().decode()


def events(number, begun):
    """The events of a task. One of twenty fails."""
    task, worker, name = str(uuid.uuid4()), f"bench{number % 4}@h2", f"proj.tasks.type_{number % 10}"
    at = begun + number * 1e-4
    args, kwargs = f"({number}, '{'x' * 40}')", "{'customer': %d}" % (number % 1000)
    message = {"uuid": task, "root_id": task, "parent_id": None, "name": name, "args": args, "kwargs": kwargs, "retries": 0, "eta": None, "expires": None}
    of_worker = {"hostname": worker, "utcoffset": 0, "pid": 4242, "clock": 4 * number + 1, "uuid": task}
    yield {**of_worker, "hostname": "gen1@client", **message, "queue": "celery", "exchange": "", "routing_key": "celery", "timestamp": at, "type": "task-sent"}
    yield {**of_worker, **message, "timestamp": at + 0.001, "type": "task-received"}
    yield {**of_worker, "timestamp": at + 0.002, "type": "task-started"}
    if number % 20 == 19:
        trace = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nValueError: boom\n'
        yield {**of_worker, "exception": "ValueError('boom')", "traceback": trace, "timestamp": at + 0.003, "type": "task-failed"}
    else:
        yield {**of_worker, "result": str(number), "runtime": 0.001, "timestamp": at + 0.003, "type": "task-succeeded"}


def envelope(body, key):
    properties = {"delivery_mode": 1, "delivery_info": {"exchange": "celeryev", "routing_key": key}, "priority": 0, "body_encoding": "base64",
                  "delivery_tag": str(uuid.uuid4())}
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps({"body": encoded, "content-encoding": "utf-8", "content-type": "application/json", "headers": {"hostname": "h2"},
                       "properties": properties})


def messages(tasks):
    begun, batch = time.time(), []
    for number in range(tasks):
        batch.extend(events(number, begun))
        while len(batch) >= BATCH:
            yield envelope(batch[:BATCH], "task.multi")
            del batch[:BATCH]
    if batch:
        yield envelope(batch, "task.multi")


class Broker:
    def __init__(self, url):
        self.redis, self.db = redis.Redis.from_url(url), urllib.parse.urlparse(url).path.strip("/") or "0"

    def send(self, envelopes, key):
        pipeline = self.redis.pipeline(transaction=False)
        for each in envelopes:
            pipeline.publish(f"/{self.db}.celeryev/{key}", each)
        pipeline.execute()


def counted(url):
    lines = get(f"{url}/metrics").splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("flower_events_total{"))


def memory(pid):
    """Private memory of a process, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return 1024 * sum(int(line.split()[1]) for line in file if line.startswith(("Private_Clean:", "Private_Dirty:")))


def rate(broker, url, pid, tasks, wanted):
    broker, before = Broker(broker), counted(url)
    made, sent, spent = messages(tasks), 0, 0.0
    first = time.monotonic()
    while True:
        ahead = [envelope for _, envelope in zip(range(AHEAD if not wanted else max(1, wanted // BATCH // 20)), made)]
        if not ahead:
            break
        if wanted:
            time.sleep(max(0.0, first + sent / wanted - time.monotonic()))
        begun = time.monotonic()
        broker.send(ahead, "task.multi")
        spent += time.monotonic() - begun
        sent += len(ahead) * BATCH
    total, seen, changed = 4 * tasks, 0.0, time.monotonic()
    while seen < total and time.monotonic() - changed < QUIET:
        now = counted(url) - before
        if now != seen:
            seen, changed = now, time.monotonic()
        time.sleep(0.05)
    return {"sent": total, "seen": seen, "seconds": changed - first, "publishing": spent, "memory": memory(pid)}


def times(url, count=20):
    took = []
    for _ in range(count):
        begun = time.monotonic()
        get(url)
        took.append(time.monotonic() - begun)
    return sorted(took)[count // 2] * 1e3


def pages(url, tasks):
    return {"first": times(f"{url}/api/tasks?limit=100&sort_by=-received"),
            "last": times(f"{url}/api/tasks?limit=100&sort_by=-received&offset={tasks - 100}"),
            "metrics": times(f"{url}/metrics")}


def visible(broker, url, count):
    broker, took = Broker(broker), []
    for number in range(count):
        event = list(events(number, time.time()))[1]
        begun = time.monotonic()
        broker.send([envelope(event, "task.received")], "task.received")
        while True:
            try:
                get(f"{url}/api/task/info/{event['uuid']}")
                break
            except urllib.error.HTTPError:
                pass
        took.append(time.monotonic() - begun)
    took.sort()
    return {"p50": took[count // 2] * 1e3, "p99": took[count * 99 // 100] * 1e3}


def command(url, token, count):
    body = urllib.parse.urlencode({"workername": "w1@bench", "ratelimit": "10/m"}).encode()
    request = urllib.request.Request(f"{url}/api/task/rate-limit/celery.accumulate", data=body)
    request.add_header("Authorization", f"Bearer {token}")
    took, begun = [], time.monotonic()
    while len(took) < count:
        before = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
            took.append(time.monotonic() - before)
        except urllib.error.HTTPError as error:
            # The node is not known yet. Flower only knows nodes that it has asked.
            if took or time.monotonic() - begun > 60:
                raise SystemExit(f"{error}: {error.read().decode()}")
            time.sleep(0.5)
            get(f"{url}/api/workers?refresh=1")
    return {"p50": sorted(took)[count // 2] * 1e3}


def ready(broker, url):
    get(f"{url}/metrics")
    if not Broker(broker).redis.pubsub_numpat():
        raise SystemExit("nobody is subscribed")
    return {}


def count(url, tasks):
    known = 0
    while known < tasks:
        page = len(json.loads(get(f"{url}/api/tasks?limit=10000&offset={known}")))
        if not page:
            break
        known += page
    return {"tasks": known}


numbers = [int(word) if word.isdigit() else word for word in sys.argv[2:]]
print(json.dumps({"rate": rate, "pages": pages, "visible": visible, "count": count, "command": command, "ready": ready}[sys.argv[1]](*numbers)))
