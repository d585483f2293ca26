"""The application of the tests. `BROKER` and `RESULTS` are its addresses."""

import json
import os
import subprocess
import time

from celery import Celery, chain, chord, group
from celery.worker.control import control_command

if os.environ.get("HOOK"):
    import monitor_celery  # noqa: F401

app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ["RESULTS"])
app.conf.update(
    worker_send_task_events=os.environ.get("EVENTS") != "off",
    task_send_sent_event=True,
    task_track_started=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_pool_restarts=True,
)
app.conf.update(json.loads(os.environ.get("CONF", "{}")))
if os.environ.get("MASTER"):
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "master_name": os.environ["MASTER"]}


@app.task(name="shop.add")
def add(a, b):
    return a + b


@app.task(name="shop.total")
def total(numbers):
    return sum(numbers)


@app.task(name="shop.wait")
def wait(seconds):
    time.sleep(seconds)
    return seconds


@app.task(name="shop.until")
def until(path, result):
    """Runs until a file appears."""
    while not os.path.exists(path):
        time.sleep(0.05)
    return result


@app.task(name="shop.fail")
def fail(words, **options):
    raise ValueError(words)


@app.task(name="shop.again", bind=True, max_retries=2)
def again(self):
    """Fails twice, and then succeeds."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task(name="shop.order", bind=True)
def order(self):
    """Starts another task."""
    return add.delay(20, 22).id


@app.task(name="shop.fan")
def fan():
    """Starts a group with a chain in it, a group in which a task fails, and a chord."""
    group(chain(add.s(1, 1), total_of.s()), *(add.s(n, n) for n in range(3))).apply_async()
    group(fail.s("no disk"), chain(fail.s("no net"), total_of.s())).apply_async()
    chord(add.s(n, n) for n in range(2))(total.s())


@app.task(name="shop.total_of")
def total_of(number):
    return number


@app.task(name="shop.halves")
def halves(path):
    """Starts a group that ends when a file appears."""
    group(add.s(1, 1), until.s(path, 1)).apply_async()


@app.task(name="shop.pack")
def pack():
    """Starts a program, which starts another one."""
    program = os.environ.get("PROGRAM", "true").split()
    subprocess.run([os.environ["MONITOR"], "run", "--name", "box", "--", *program], check=True)


@control_command(args=[("times", int)], signature="TIMES")
def shop_size(state, times):
    """A command of the application."""
    return {"size": 42 * times, "password": "s3cret"}
