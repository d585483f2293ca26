"""Starts tasks, waits for their ends, and prints what Celery knows about each: its state, its result, its root and its parent."""

import gc
import json
import sys

from celery import chain, chord, uuid
from celery.result import AsyncResult

import shop

# A result that is collected while another one subscribes waits for ever for a lock of redis-py 5, with Celery 5.3.
gc.disable()
ends = {}
# Seconds. A busy machine needs minutes.
PATIENCE = 300


def note(result, root=None, parent=None):
    try:
        value = result.get(timeout=PATIENCE, propagate=False)
    except Exception as error:  # A revoked task.
        value = error
    ends[result.id] = {"state": result.state, "result": repr(value), "root": root or result.id, "parent": parent}


rounds = int(sys.argv[1])
for number in range(rounds):
    add = shop.add.delay(number, 1)
    fail = shop.fail.delay(f"no disk {number}", password="s3cret")
    again = shop.again.delay()
    order = shop.order.delay()
    pair = chain(shop.add.s(number, 1), shop.add.s(5))()
    sums = chord([shop.add.s(number, at) for at in range(3)], shop.total.s())()
    late = shop.add.apply_async((number, 2), countdown=2)
    shop.app.control.revoke(late.id)
    # Its node knows that it is revoked before it receives it.
    never = uuid()
    shop.app.control.revoke(never, reply=True)
    shop.add.apply_async((number, 3), task_id=never)
    for result in (add, fail, again, order):
        note(result)
    note(AsyncResult(order.get(), app=shop.app), root=order.id, parent=order.id)
    note(pair.parent)
    note(pair, root=pair.parent.id, parent=pair.parent.id)
    sums.get(timeout=PATIENCE)
    for header in sums.parent.results:
        note(header)
    ends[sums.id] = {"state": sums.state, "result": repr(sums.get()), "root": None, "parent": None}
    note(late)
    note(AsyncResult(never, app=shop.app))
print(json.dumps(ends))
