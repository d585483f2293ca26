"""Celery's events on Redis, told as its workers tell them and received as Flower receives them.

celery_events.py tell URL TASKS RATE        four events of each task, RATE tasks a second; 0: as fast as it can
celery_events.py receive URL EVENTS MS      until so many came, or none for 15 s; a handler that takes MS
celery_events.py ping URL TIMES WORKERS     seconds until the answer of all workers is there

A role says `ready`, waits for a line, does it, and says what came of it as JSON. Workers import this file as their app.
"""

import json
import socket
import sys
import time
import uuid

from celery import Celery
from celery.events.state import State

app = Celery("celery_events")
app.conf.broker_connection_retry_on_startup = True


def begin():
    print("ready", flush=True)
    sys.stdin.readline()


def dispatcher(before=None):
    """A new one, which goes on with what the one before could not send: as a worker does once its connection is lost."""
    new = app.events.Dispatcher(app.connection_for_write(), buffer_group=["task"])
    if before is not None:
        new.extend_buffer(before)
        new.flush()
    return new


def tell(tasks, rate):
    told = dispatcher()
    begin()
    begun = time.monotonic()
    for number in range(tasks):
        if rate:
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
        task = str(uuid.uuid4())
        told.send("task-sent", uuid=task, name="render", args="[7]", kwargs="{}", queue="video")
        told.send("task-received", uuid=task, name="render", args="[7]", kwargs="{}")
        told.send("task-started", uuid=task)
        told.send("task-succeeded", uuid=task, result="7", runtime=0.001)
        if told._outbound_buffer:
            told = dispatcher(told)
    told.flush()
    while told._outbound_buffer:
        time.sleep(0.1)
        told = dispatcher(told)
    return {"told": 4 * tasks, "seconds": time.monotonic() - begun}


def receive(events, pause):
    state, seen, times, is_begun = State(max_tasks_in_memory=10_000, max_workers_in_memory=5_000), set(), [], []
    counts = {}

    def handle(event):
        state.event(event)
        counts[event["type"]] = counts.get(event["type"], 0) + 1
        seen.add((event["uuid"], event["type"]))
        times.append(time.monotonic())
        if pause:
            time.sleep(pause)
        receiver.should_stop = len(times) >= events

    while len(times) < events:
        try:
            with app.connection_for_read() as connection:
                receiver = app.events.Receiver(connection, handlers={"*": handle})
                ready = receiver.on_consume_ready

                def on_consume_ready(connection, *args, **kwargs):
                    ready(connection, *args, **kwargs)
                    if not is_begun:
                        is_begun.append(True)
                        # It subscribes when it first reads.
                        try:
                            connection.drain_events(timeout=0.5)
                        except socket.timeout:
                            pass
                        begin()

                receiver.on_consume_ready = on_consume_ready
                receiver.capture(limit=None, timeout=15, wakeup=False)
        except socket.timeout:
            break
        except Exception as error:
            print(error, file=sys.stderr)
            time.sleep(1)
    seconds = times[-1] - times[0] if times else 0
    return {"received": len(seen), "again": len(times) - len(seen), "seconds": seconds, "tasks": state.task_count}


def ping(times, workers):
    until = time.monotonic() + 120
    while len(app.control.ping(timeout=1.0)) < workers and time.monotonic() < until:
        pass
    begin()
    took = {}
    for name, limit in (("waited out", None), ("until all answered", workers)):
        took[name] = []
        for _ in range(times):
            begun = time.monotonic()
            answers = app.control.ping(timeout=1.0, limit=limit)
            took[name].append(time.monotonic() - begun)
            if len(answers) != workers:
                raise SystemExit(f"{len(answers)} of {workers} workers answered")
    return took


if __name__ == "__main__":
    role, app.conf.broker_url, *numbers = sys.argv[1:]
    first, second = int(numbers[0]), float(numbers[1])
    said = {"tell": tell, "receive": lambda events, ms: receive(events, ms / 1000), "ping": lambda times, all: ping(times, int(all))}
    print(json.dumps(said[role](first, second)), flush=True)
