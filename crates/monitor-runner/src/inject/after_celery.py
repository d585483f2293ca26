"""Imports the module for Celery as soon as a program has loaded Celery. Called by `sitecustomize.py`."""

import importlib.abc
import importlib.util
import sys


class AfterCelery(importlib.abc.MetaPathFinder):
    """Executes a file as the module `monitor_celery` after the class `Celery` is defined."""

    def __init__(self, path):
        self.path = path

    def find_spec(self, name, path, target=None):
        if name != "celery.app":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        try:
            execute = spec.loader.exec_module

            def execute_both(module):
                execute(module)
                self.import_own()

            spec.loader.exec_module = execute_both
        except Exception:
            pass
        return spec

    def import_own(self):
        try:
            spec = importlib.util.spec_from_file_location("monitor_celery", self.path)
            module = importlib.util.module_from_spec(spec)
            # An application that imports it, too, gets this one.
            sys.modules["monitor_celery"] = module
            spec.loader.exec_module(module)
        except Exception:
            pass
