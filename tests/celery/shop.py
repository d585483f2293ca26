"""The application of the tests. `BROKER` and `RESULTS` are its addresses."""

import json
import os
import subprocess
import time

from celery import Celery
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


@app.task(name="shop.pack")
def pack():
    """Starts a program, which starts another one."""
    program = os.environ.get("PROGRAM", "true").split()
    subprocess.run([os.environ["MONITOR"], "run", "--name", "box", "--", *program], check=True)


@control_command(args=[("times", int)], signature="TIMES")
def shop_size(state, times):
    """A command of the application."""
    return {"size": 42 * times, "password": "s3cret"}
