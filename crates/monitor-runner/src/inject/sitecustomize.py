"""Read by Python at its start, by PYTHONPATH: makes functions that a configuration names processes of their own.

Only the standard library, from 3.8 on. Whatever fails here, the program goes on.
"""

import sys


def _monitor():
    import atexit
    import collections
    import contextvars
    import functools
    import importlib.abc
    import inspect
    import json
    import os
    import re
    import threading
    import types

    # With nested launchers, the first hook records.
    if "process_monitor" in sys.modules:
        return
    feed, config = os.environ.get("MONITOR_FEED"), os.environ.get("MONITOR_PYTHON_CONFIG")
    root, parent = os.environ.get("MONITOR_ROOT_ID"), os.environ.get("MONITOR_PARENT_ID")
    if not (feed and config and root and parent):
        return
    # A command that is folded in a script above passes its parent in MONITOR_STEP.
    own = os.environ.get("MONITOR_STEP", "").split(":")
    if len(own) == 2 and own[0] == parent:
        parent = own[1]
    with open(config, encoding="utf-8") as file:
        tables = json.load(file)

    def pattern(path):
        parts = {"*": "[^.]+", "**": ".+"}
        return re.compile(r"\.".join(parts.get(part) or re.escape(part).replace(r"\*", "[^.]*") for part in path.split(".")) + r"\Z")

    for table in tables:
        table["match"] = pattern(table["path"])
        table["but"] = [pattern(path) for path in table.get("exclude", [])]
        # A module may contain a match if its name matches the first parts of the pattern.
        table["head"] = table["path"].split(".")

    def may_hold(module):
        names = module.split(".")
        for table in tables:
            for name, part in zip(names, table["head"]):
                if part == "**":
                    return True
                if not pattern(part).match(name):
                    break
            else:
                if len(names) < len(table["head"]):
                    return True
        return False

    def table_of(path):
        for table in tables:
            if table["match"].match(path) and not any(but.match(path) for but in table["but"]):
                return table
        return None

    # Writing to the feed never blocks: lines that do not fit are dropped. It is opened for reading, too, so that a write never fails with
    # EPIPE.
    output = os.open(feed, os.O_RDWR | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    known = os.fstat(output)
    # Tree, process, and number of nested calls.
    current = contextvars.ContextVar("monitor_current", default=(root, parent, 0))

    def clean(text):
        return str(text)[:600].replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")

    # Number of dropped lines, and end lines that wait for room. The end of a process is kept if its start was written.
    lost, unsent = [0], collections.deque()

    def as_line(words):
        return "\t".join(words).encode("utf-8", "replace")[:3999] + b"\n"

    def say(*words):
        """Tells the launcher. Returns true if it hears of it."""
        try:
            # A daemonizing program closes all files. The number may now belong to another file.
            now = os.fstat(output)
            if (now.st_dev, now.st_ino) != (known.st_dev, known.st_ino):
                return False
            while unsent:
                line = unsent.popleft()
                try:
                    os.write(output, line)
                except BaseException:
                    unsent.appendleft(line)
                    raise
            line = as_line(words)
            if lost[0] and len(line) < 3900:
                line = b"L\t%d\n" % lost[0] + line
                os.write(output, line)
                lost[0] = 0
            else:
                os.write(output, line)
            return True
        except BlockingIOError:
            if words[0] == "E":
                unsent.append(as_line(words))
            else:
                lost[0] += 1
        except RecursionError:
            # Re-raise: older interpreters abort a program that catches this error and recurses further.
            raise
        except Exception:
            pass
        return False

    @atexit.register
    def tell_late():
        # A file, which always has room.
        if lost[0] or unsent:
            with open(os.path.join(os.path.dirname(feed), "late"), "ab") as file:
                file.write(b"".join(unsent) + b"L\t%d\n" % lost[0])

    # Raise the recursion limit by the number of frames added by wrappers, so that the program can recurse as deep as without them. The
    # program sees its own limit. `room` is a reserve for functions called by the wrappers.
    get_limit, set_limit, room, added = sys.getrecursionlimit, sys.setrecursionlimit, 50, [0]

    def add_frames(count):
        limit = get_limit() - added[0]
        added[0] = count
        set_limit(limit + count)

    @functools.wraps(get_limit)
    def getrecursionlimit():
        return get_limit() - added[0]

    @functools.wraps(set_limit)
    def setrecursionlimit(limit, /):
        set_limit(limit + added[0] if isinstance(limit, int) and limit > 0 else limit)

    add_frames(room)
    sys.getrecursionlimit, sys.setrecursionlimit = getrecursionlimit, setrecursionlimit

    def hand_on():
        root, process, depth = current.get()
        if depth:
            say("H", process)
        return root, process

    def ident(value, digits):
        text = str(value).strip().lower() if value is not None else ""
        return text if re.fullmatch("[0-9a-f]{%d}" % digits, text) and text.strip("0") else None

    class Call:
        """A call: begun when it is made, current while it is entered."""

        def __init__(self, table, name, code, given):
            self.id = os.urandom(8).hex()
            self.root, above, depth = current.get()
            self.depth, self.above = depth + 1, above
            batch = ""
            if given is not None:
                if table.get("batch") in given:
                    batch = clean(given[table["batch"]])
                if table["kind"] == "cross_process":
                    ids = ident(given.get("root_id"), 32), ident(given.get("parent_id"), 16)
                    if all(ids):
                        self.root, above = ids
                        self.above = above
            place = clean("%s:%d" % (code.co_filename, code.co_firstlineno))
            self.is_told = say("S", self.id, above, self.root, table["kind"], str(os.getpid()), place, batch, clean(table.get("name") or name))

        def enter(self):
            # If the start was dropped, children are attached to the process above.
            return current.set((self.root, self.id if self.is_told else self.above, self.depth))

        def end(self, error=None):
            if not self.is_told:
                return
            if error is None or (isinstance(error, SystemExit) and not error.code) or isinstance(error, StopIteration):
                say("E", self.id, "ok", "", "")
            elif isinstance(error, GeneratorExit) or type(error).__name__ == "CancelledError":
                say("E", self.id, "cancelled", "", "")
            else:
                kind = type(error)
                try:
                    text = clean(error)
                except Exception:
                    text = "(its own words failed)"
                say("E", self.id, "failed", clean("%s.%s" % (kind.__module__, kind.__qualname__)), text)

    def arguments(table, signature, args, kwargs):
        """Of a call, by name, if something of them is to be known."""
        if signature is None:
            return None
        try:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = dict(bound.arguments)
            for parameter in signature.parameters.values():
                if parameter.kind is parameter.VAR_KEYWORD:
                    given.update(given.get(parameter.name, {}))
            return given
        except TypeError:
            return {}

    def begin(table, name, function, signature, args, kwargs):
        try:
            call = Call(table, name, function.__code__, arguments(table, signature, args, kwargs))
            # One frame for each enclosing call that may be on the stack.
            if call.depth + room > added[0]:
                add_frames(call.depth + 2 * room)
            return call
        except RecursionError:
            # Raised by the program's own recursion, because the limit already includes the added frames.
            raise
        except Exception:
            return None

    def leave(token):
        try:
            current.reset(token)
        except ValueError:
            # The call ended in another context than it started in, which is possible for generators.
            pass

    # Callback for the end of a call made by the main script.
    going_on = [None]

    def wrapped(function, table, name):
        signature = None
        if table.get("batch") or table["kind"] == "cross_process":
            try:
                signature = inspect.signature(function)
            except Exception:
                # For example because of annotations with undefined names.
                return function
        about = (table, name, function, signature)

        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                call = begin(*about, args, kwargs)
                generator = function(*args, **kwargs)
                if call is None:
                    async for value in generator:
                        yield value
                    return
                try:
                    send, error = None, None
                    while True:
                        token = call.enter()
                        try:
                            value = await (generator.asend(send) if error is None else generator.athrow(error))
                        except StopAsyncIteration:
                            call.end()
                            return
                        finally:
                            leave(token)
                        send, error = None, None
                        try:
                            send = yield value
                        except GeneratorExit:
                            await generator.aclose()
                            raise
                        except BaseException as thrown:
                            error = thrown
                except BaseException as failure:
                    call.end(failure)
                    raise

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                call = begin(*about, args, kwargs)
                if call is None:
                    return await function(*args, **kwargs)
                token = call.enter()
                try:
                    result = await function(*args, **kwargs)
                except BaseException as failure:
                    call.end(failure)
                    raise
                finally:
                    leave(token)
                call.end()
                return result

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                call = begin(*about, args, kwargs)
                generator = function(*args, **kwargs)
                if call is None:
                    return (yield from generator)
                send, step = None, generator.send
                try:
                    while True:
                        token = call.enter()
                        try:
                            value = step(send)
                        except StopIteration as stop:
                            call.end()
                            return stop.value
                        finally:
                            leave(token)
                        try:
                            send, step = (yield value), generator.send
                        except GeneratorExit:
                            generator.close()
                            raise
                        except BaseException as thrown:
                            send, step = thrown, generator.throw
                except BaseException as failure:
                    call.end(failure)
                    raise

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                call = begin(*about, args, kwargs)
                if call is None:
                    return function(*args, **kwargs)
                token, is_outermost = call.enter(), call.depth == 1 and going_on[0] is not None
                try:
                    result = function(*args, **kwargs)
                except BaseException as failure:
                    call.end(failure)
                    raise
                finally:
                    leave(token)
                    if is_outermost and going_on[0] is not None:
                        going_on[0]()
                call.end()
                return result

        return wrapper

    # Special methods of the class protocol, which can't be replaced by wrappers.
    left_alone = ("__new__", "__init_subclass__", "__class_getitem__", "__del__")

    def main_names():
        """By which a configuration may name the main module: that of `python -m`, else of its file."""
        main = sys.modules.get("__main__")
        spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        stem = os.path.splitext(os.path.basename(path))[0] if path else None
        return [name for name in (spec and spec.name, stem, "__main__") if name]

    def find(module, rest):
        """The table of a function, and its path."""
        for name in main_names() if module == "__main__" else [module]:
            path = name + "." + rest
            table = table_of(path)
            if table is not None:
                return table, path
        return None, None

    def weave(holder, prefix, module, seen):
        for key, value in list(vars(holder).items()):
            rest = prefix + key
            inner, shell = value, None
            if isinstance(value, (staticmethod, classmethod)):
                inner, shell = value.__func__, type(value)
            if isinstance(inner, types.FunctionType):
                is_own = inner.__module__ == module.__name__ and not hasattr(inner, "__monitored__")
                table, path = find(inner.__module__, rest) if is_own else (None, None)
                if table is None or key in left_alone:
                    continue
                new = wrapped(inner, table, path)
                new.__monitored__ = True
                setattr(holder, key, shell(new) if shell else new)
            elif isinstance(value, type) and value.__module__ == module.__name__ and id(value) not in seen:
                seen.add(id(value))
                weave(value, rest + ".", module, seen)

    class Loader(importlib.abc.Loader):
        def __init__(self, loader):
            self.loader = loader

        def __getattr__(self, name):
            # `python -m` requests code from the loader, other programs request sources and data.
            return getattr(self.__dict__["loader"], name)

        def create_module(self, spec):
            return self.loader.create_module(spec)

        def exec_module(self, module):
            # From here on the wrapper is invisible to the module.
            module.__loader__ = self.loader
            if module.__spec__ is not None:
                module.__spec__.loader = self.loader
            self.loader.exec_module(module)
            try:
                weave(module, "", module, set())
            except Exception:
                pass

    class Finder(importlib.abc.MetaPathFinder):
        def __init__(self):
            self.busy = threading.local()

        def find_spec(self, name, path, target=None):
            if getattr(self.busy, "name", None) == name or not may_hold(name):
                return None
            self.busy.name = name
            try:
                for finder in sys.meta_path:
                    if finder is self or not hasattr(finder, "find_spec"):
                        continue
                    spec = finder.find_spec(name, path, target)
                    if spec is not None:
                        if spec.loader is not None and hasattr(spec.loader, "exec_module") and hasattr(spec.loader, "create_module"):
                            spec.loader = Loader(spec.loader)
                        return spec
            finally:
                self.busy.name = None
            return None

    # Processes on another thread are attached to the process that started the thread.
    start = threading.Thread.start

    @functools.wraps(start)
    def start_below(self):
        try:
            here, run = current.get(), self.run

            def run_below():
                current.set(here)
                self.__dict__.pop("run", None)
                return run()

            self.run = run_below
        except Exception:
            pass
        return start(self)

    threading.Thread.start = start_below

    def patch_pool(module):
        submit = module.ThreadPoolExecutor.submit

        @functools.wraps(submit)
        def submit_below(self, fn, /, *args, **kwargs):
            here = current.get()

            def call(*args, **kwargs):
                token = current.set(here)
                try:
                    return fn(*args, **kwargs)
                finally:
                    leave(token)

            return submit(self, call, *args, **kwargs)

        module.ThreadPoolExecutor.submit = submit_below

    # Pass the ids to child processes, too.
    def patch_popen(module):
        init = module.Popen.__init__

        @functools.wraps(init)
        def init_below(self, *args, **kwargs):
            try:
                # `env` is the eleventh argument.
                if len(args) < 11 and kwargs.get("env") is None:
                    root, process = hand_on()
                    kwargs["env"] = dict(os.environ, MONITOR_ROOT_ID=root, MONITOR_PARENT_ID=process)
            except Exception:
                pass
            return init(self, *args, **kwargs)

        module.Popen.__init__ = init_below

    patches = {"concurrent.futures.thread": patch_pool, "subprocess": patch_popen}

    class Patching(Loader):
        def exec_module(self, module):
            module.__loader__ = module.__spec__.loader = self.loader
            self.loader.exec_module(module)
            try:
                patches.pop(module.__name__)(module)
            except Exception:
                pass

    class PatchFinder(Finder):
        def find_spec(self, name, path, target=None):
            if name not in patches or getattr(self.busy, "name", None) == name:
                return None
            self.busy.name = name
            try:
                for finder in sys.meta_path:
                    if not isinstance(finder, Finder) and hasattr(finder, "find_spec"):
                        spec = finder.find_spec(name, path, target)
                        if spec is not None:
                            spec.loader = Patching(spec.loader)
                            return spec
            finally:
                self.busy.name = None
            return None

    for name in list(patches):
        if name in sys.modules:
            patches.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, PatchFinder())
    say("P")

    import _monitor_calls as ways

    del sys.modules["_monitor_calls"]
    try:
        ways.watch_calls(sys.monitoring, find, left_alone, Call, leave)
    except Exception:
        sys.meta_path.insert(0, Finder())
        if sys.gettrace() is None:
            ways.watch_main(lambda: any(map(may_hold, main_names())), lambda main: weave(main, "", main, set()), going_on, __file__)

    # For programs that pass their ids on: `from process_monitor import task_monitor`.
    class TaskMonitor:
        root_id = property(lambda self: current.get()[0])
        current_id = property(lambda self: hand_on()[1])

    public = types.ModuleType("process_monitor", "Ids of what runs here and now.")
    public.task_monitor = TaskMonitor()
    sys.modules["process_monitor"] = public


try:
    _monitor()
except Exception:
    pass
finally:
    del _monitor


def _after_celery():
    import os
    import sys

    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "monitor_celery.py")
    if os.path.exists(file):
        from _monitor_after_celery import AfterCelery

        sys.meta_path.insert(0, AfterCelery(file))


try:
    _after_celery()
except Exception:
    pass
finally:
    del _after_celery


# Loads the user's own `sitecustomize`, which this module hides.
def _next():
    import importlib.machinery
    import importlib.util
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    paths = [path for path in sys.path if os.path.abspath(path or ".") != here]
    sys.path[:] = paths
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", paths)
    if spec is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_next()
