"""Connects tasks of Celery with the programs that send them and that they start, in one run of Process Monitor.

Import it in the module of the application: `import monitor_celery`. It needs Celery 5.3 or newer, and nothing else.

- A task that a program in a run sends is below the program's process. The run is that of the variables MONITOR_ROOT_ID and MONITOR_PARENT_ID.
- A program that a task starts by `subprocess` is below the task, if it is monitored, such as by `monitor run`.

An error in here never reaches a task.
"""

import functools
import hashlib
import os
import subprocess

from celery import Celery, current_task

ROOT, PARENT = "MONITOR_ROOT_ID", "MONITOR_PARENT_ID"


def process_id(task_id):
    """The id of a task's process: the beginning of SHA-256(source, id)."""
    return hashlib.sha256(b"celery" + task_id.encode()).hexdigest()[:16]


def context():
    """The ids of the current task, as variables for other programs. Empty outside of a task."""
    request = getattr(current_task, "request", None)
    task_id = getattr(request, "id", None)
    if not task_id:
        return {}
    root = (request.root_id or task_id).replace("-", "")
    return {ROOT: root, PARENT: process_id(task_id)} if len(root) == 32 else {}


def _sent_below_program(options):
    """Adds the ids of the program's process, unless a task sends the task or the caller names ids."""
    root, parent = os.environ.get(ROOT, ""), os.environ.get(PARENT, "")
    is_inside = len(root) == 32 and len(parent) == 16
    if is_inside and not options.get("root_id") and not options.get("parent_id") and not context():
        options["root_id"] = "-".join((root[:8], root[8:12], root[12:16], root[16:20], root[20:]))
        options["parent_id"] = parent


def _wrap(function, change):
    @functools.wraps(function)
    def wrapped(*args, **options):
        try:
            change(options)
        except Exception:
            pass
        return function(*args, **options)

    return wrapped


def _started_below_task(options):
    """Adds the ids of the current task to the environment of a new program."""
    ids = context()
    if ids:
        environment = options.get("env")
        options["env"] = {**(os.environ if environment is None else environment), **ids}


Celery.send_task = _wrap(Celery.send_task, _sent_below_program)
subprocess.Popen.__init__ = _wrap(subprocess.Popen.__init__, _started_below_task)
