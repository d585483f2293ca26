"""By which ways `sitecustomize.py` hears of calls, other than by wrappers around functions of imported modules."""

import inspect
import sys
import types


def watch_calls(events, find, left_alone, Call, leave):
    """From 3.12 on the interpreter tells of calls, by no frame of ours. Fails if others have all places for that."""
    tool = next(tool for tool in (4, 3) if events.get_tool(tool) is None)
    events.use_tool_id(tool, "process-monitor")
    kinds = events.events
    # Table and path of each watched code object. Running calls by the id of their frame, each with the token that resets the current
    # process.
    watched, calls = {}, {}

    def begin_watched(code, frame):
        found = watched.get(code)
        if found is None:
            rest, module = code.co_qualname, frame.f_globals.get("__name__")
            # Skip class bodies and functions nested in a function.
            is_function = code.co_flags & 3 == 3 and "<" not in rest and rest.rpartition(".")[2] not in left_alone
            found = find(module, rest) if is_function and isinstance(module, str) else (None, None)
            if found[0] is None:
                return events.DISABLE
            events.set_local_events(tool, code, kinds.PY_RETURN | kinds.PY_YIELD | kinds.PY_RESUME)
            watched[code] = found
        table, path = found
        given = None
        if table.get("batch") or table["kind"] == "cross_process":
            given = dict(frame.f_locals)
            if code.co_flags & inspect.CO_VARKEYWORDS:
                last = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
                given.update(given.get(code.co_varnames[last], {}))
        call = Call(table, path, code, given)
        calls[id(frame)] = [call, call.enter()]

    def started(code, offset):
        try:
            return begin_watched(code, sys._getframe(1))
        except Exception:
            return None

    def over(frame, error=None):
        call, token = calls.pop(id(frame), (None, None))
        if call is not None:
            leave(token)
            call.end(error)

    def returned(code, offset, value):
        try:
            over(sys._getframe(1))
        except Exception:
            pass

    def yielded(code, offset, value):
        call = calls.get(id(sys._getframe(1)))
        if call is not None:
            leave(call[1])

    def resumed(code, offset, error=None):
        call = calls.get(id(sys._getframe(1)))
        if call is not None:
            call[1] = call[0].enter()

    def unwound(code, offset, error):
        try:
            if code in watched:
                over(sys._getframe(1), error)
        except Exception:
            pass

    callbacks = {
        kinds.PY_START: started,
        kinds.PY_RETURN: returned,
        kinds.PY_YIELD: yielded,
        kinds.PY_RESUME: resumed,
        kinds.PY_THROW: resumed,
        kinds.PY_UNWIND: unwound,
    }
    for kind, callback in callbacks.items():
        events.register_callback(tool, kind, callback)
    events.set_events(tool, kinds.PY_START | kinds.PY_THROW | kinds.PY_UNWIND)


def watch_main(is_named, weave, going_on, hook):
    """Puts wrappers around functions of the main script between its lines, since nobody imports it."""
    main = sys.modules["__main__"]
    state = types.SimpleNamespace(script=None, known=0, lines=0, calls=0, is_importing=False)

    def line(frame, event, argument):
        try:
            if event != "line":
                return line
            state.is_importing = False
            state.lines += 1
            # A script that runs this many lines defines no more functions. A script whose functions are not named in the configuration
            # needs no tracing.
            if state.lines > 10000 or (state.lines == 1 and not is_named()):
                sys.settrace(None)
                return None
            if len(main.__dict__) != state.known:
                weave(main)
                state.known = len(main.__dict__)
        except Exception:
            pass
        return line

    def call(frame, event, argument):
        code = frame.f_code
        if state.script is None:
            if code.co_name == "<module>" and frame.f_globals is main.__dict__:
                state.script = frame
                return line
        elif frame.f_back is state.script and code.co_name == "_find_and_load":
            state.is_importing = True
        elif frame.f_back is state.script and code.co_filename == hook and code.co_name == "wrapper":
            # The script is in a call of an instrumented function. Tracing resumes when the call has ended.
            sys.settrace(None)
            going_on[0] = go_on
        elif not state.is_importing:
            state.calls += 1
            if state.calls > 50000:
                sys.settrace(None)
        return None

    def go_on():
        going_on[0] = None
        sys.settrace(call)

    sys.settrace(call)
