"""Connects tasks of Celery with the programs that send them and that they start, in one run of Process Monitor.

Import it in the module of the application: `import monitor_celery`. It needs Celery 5.3 or newer, and nothing else.

- A task that a program in a run sends is below the program's process. The run is that of the variables MONITOR_ROOT_ID and MONITOR_PARENT_ID.
- A program that a task starts by `subprocess` is below the task, if it is monitored, such as by `monitor run`.
- Tasks of a group or chord that a task or such a program sends are below a process that ends with the last of them. If another program sends it, that
  process is a run of its own, and each of the tasks has a link to it.

An error in here never reaches a task.
"""

import functools
import hashlib
import itertools
import os
import subprocess

from celery import Celery, current_task, group

ROOT, PARENT = "MONITOR_ROOT_ID", "MONITOR_PARENT_ID"
# Groups with more members are not announced. An announcement has up to PART members.
MOST, PART = 10_000, 1_000


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


def _program():
    """The ids of the program's run and process, as Celery writes them. None outside of a run."""
    root, parent = os.environ.get(ROOT, ""), os.environ.get(PARENT, "")
    if len(root) == 32 and len(parent) == 16:
        return "-".join((root[:8], root[8:12], root[12:16], root[16:20], root[20:])), parent
    return None


def _sent_below_program(options):
    """Adds the ids of the program's process, unless a task sends the task or the caller names ids."""
    ids = _program()
    if ids and not options.get("root_id") and not options.get("parent_id") and not context():
        options["root_id"], options["parent_id"] = ids


def _tasks(signature, result):
    """The ids of the tasks of a group's member. None if it contains another group or chord, whose end no event shows for sure."""
    tasks = getattr(signature, "tasks", None)
    if tasks is None:
        return [result.id]
    if signature.get("subtask_type") != "chain" or any(hasattr(task, "tasks") for task in tasks):
        return None
    ids = [task.options.get("task_id") for task in tasks]
    return ids if all(ids) and ids[-1] == result.id else None


def _announce(tasks, producer, app, chord):
    """Sends the ids of a group's tasks, and of the run that they will be in."""
    request = getattr(current_task, "request", None)
    task_id = getattr(request, "id", None)
    ids = (request.root_id or task_id, task_id) if task_id else _program()
    if not tasks:
        return
    chord = chord or tasks[0][0].options.get("chord")
    names = {signature.get("task") for signature, _, _ in tasks}
    name = "chord " + chord["task"] if chord else "group " + names.pop() if len(names) == 1 else "group"
    members = [_tasks(signature, result) for signature, result, _ in tasks]
    if not all(members):
        return
    with app.producer_or_acquire(producer) as producer:
        dispatcher = app.events.Dispatcher(enabled=False)
        fields = {"uuid": tasks[0][2], "name": name, "total": len(members)}
        if ids:
            fields["root_id"], fields["parent_id"] = ids
        for at in range(0, len(members), PART):
            dispatcher.publish("monitor-group", {**fields, "members": members[at : at + PART]}, producer)


def _announcing(function):
    @functools.wraps(function)
    def wrapped(self, tasks, producer=None, app=None, *args, **options):
        tasks = iter(tasks)
        first = list(itertools.islice(tasks, MOST + 1))
        try:
            if len(first) <= MOST:
                _announce(first, producer, app or self.app, options.get("chord"))
        except Exception:
            pass
        return function(self, itertools.chain(first, tasks), producer, app, *args, **options)

    return wrapped


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


if hasattr(group, "_apply_tasks"):
    group._apply_tasks = _announcing(group._apply_tasks)
Celery.send_task = _wrap(Celery.send_task, _sent_below_program)
subprocess.Popen.__init__ = _wrap(subprocess.Popen.__init__, _started_below_task)
