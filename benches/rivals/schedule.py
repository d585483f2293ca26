"""APScheduler with these tasks, whose jobs it keeps in a file of SQLite, so that it goes on where it was.

schedule.py fill|run TASKS MARK JOBS   TASKS: JSON, a list of [name, rule with seconds]; MARK: the command, which gets the name
"""

import json
import os
import subprocess
import sys

from apscheduler.events import EVENT_SCHEDULER_STARTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import create_engine, event

VERB, TASKS, MARK, JOBS = sys.argv[1:]


def start(name):
    subprocess.run([MARK, name], check=False)


engine = create_engine(f"sqlite:///{JOBS}")
if VERB == "fill":
    # Nobody measures how they got there.
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
scheduler = (BackgroundScheduler if VERB == "fill" else BlockingScheduler)(
    jobstores={"default": SQLAlchemyJobStore(engine=engine)},
    # As many threads as are due at once. What is late by up to a minute still runs; by default that is a second.
    executors={"default": ThreadPoolExecutor(20)},
    job_defaults={"misfire_grace_time": 60},
)
if VERB == "fill":
    scheduler.start(paused=True)
    for name, rule in json.load(open(TASKS)):
        fields = dict(zip(("second", "minute", "hour", "day", "month"), rule.split()))
        scheduler.add_job(start, CronTrigger(**fields), args=[name], id=name)
    # A shutdown would start what has come due meanwhile.
    os._exit(0)
else:
    scheduler.add_listener(lambda _: print("ready", flush=True), EVENT_SCHEDULER_STARTED)
    scheduler.start()
